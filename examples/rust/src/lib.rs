//! Nothing: the tests are the examples.
