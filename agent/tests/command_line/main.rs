//! The program as people and scripts meet it: arguments and files in, standard output, standard error and exit code out.

mod check;
mod completions;
mod explain;
mod farm;
mod in_force;
mod not_a_file;
mod replay;
mod schema;
