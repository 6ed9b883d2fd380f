//! Tells the crate which Python it is built for (`Py_GIL_DISABLED`), and the linker that the interpreter will be there when it is loaded.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    pyo3_build_config::add_extension_module_link_args();
}
