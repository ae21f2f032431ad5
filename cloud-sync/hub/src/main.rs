//! The central platform: keys, configuration and history of many farms, in one binary. Knows nothing of the agent's inside.

// Work begins with the hub issue; the package stands so that nothing has to move.
fn main() {}
