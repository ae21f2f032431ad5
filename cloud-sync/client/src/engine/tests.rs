//! Tests of the engine: a bench that plays store and hub by hand, and a model of both for long runs.

mod bench;
mod edges;
mod failures;
mod model;
mod order;
mod pulls;
mod simulation;
