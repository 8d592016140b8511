//! Link arguments that an addon needs, per platform.

fn main() {
    napi_build::setup();
}
