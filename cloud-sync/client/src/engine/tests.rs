//! Tests of the engine: a desk that plays store and hub by hand, and a model of both for long runs.

mod desk;
mod edges;
mod failures;
mod model;
mod order;
mod pulls;
mod simulation;
