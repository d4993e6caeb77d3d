//! An EC2 that you can break.

pub mod model;
