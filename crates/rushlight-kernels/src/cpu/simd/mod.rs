//! Run-time choice of instruction sets, and the scalar mathematics that the compiler vectorises.
