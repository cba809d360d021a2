//! Caches of layers between builds: a directory, an image, or a directory beside a daemon.
//!
//! A damaged, truncated or mismatching entry is a miss, never an error or a wrong layer.
