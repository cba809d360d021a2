//! Black-box conformance kit: it runs any lifecycle directory.
