//! Sets the linker flags that a Node-API addon needs on each platform.

fn main() {
    napi_build::setup();
    // A worker's exit must not unmap the addon under the IO thread, which serves the other threads.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
