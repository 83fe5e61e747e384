//! Limits as files and values: on v2, on v1, and between the two.
