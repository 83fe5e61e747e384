//! Why a namespace lives.
