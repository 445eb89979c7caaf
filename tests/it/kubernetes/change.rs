//! Tools that change objects.
