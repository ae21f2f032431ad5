//! What devices call: the request is checked, one operation of the storage runs, the answer is written.

mod batch;
mod bundle;
mod time;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;

pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::default().routes(routes!(batch::post)).routes(routes!(bundle::get)).routes(routes!(time::get))
}
