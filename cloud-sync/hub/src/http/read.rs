//! Routes for readers of a tenant's data.

mod alerts;
mod data;
mod events;
mod health;
mod latest;
mod rows;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;

pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::default()
        .routes(routes!(latest::get))
        .routes(routes!(data::get))
        .routes(routes!(events::get))
        .routes(routes!(alerts::get))
        .routes(routes!(health::get))
}
