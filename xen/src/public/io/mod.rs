//! `public/io/`: what front ends and back ends share.

pub mod console;
