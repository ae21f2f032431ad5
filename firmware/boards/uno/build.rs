//! Links what only the drivers of the image `uno-all` need.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_ALL_SENSORS").is_some() {
        // Division of libgcc, found as `.cargo/config.toml` says.
        println!("cargo::rustc-link-arg=-Wl,-u,__udivmodsi4,-u,__divmodsi4");
    }
}
