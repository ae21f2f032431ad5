//! Routes for devices: each checks the request, runs one operation of the storage and writes the answer.

mod batch;
mod bundle;
mod enrolment;
mod time;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;

pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::default()
        .routes(routes!(batch::post))
        .routes(routes!(bundle::get))
        .routes(routes!(time::get))
        .routes(routes!(enrolment::get_ca))
        .routes(routes!(enrolment::post))
}
