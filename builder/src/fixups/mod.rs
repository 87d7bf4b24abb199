//! What maintainer scripts would have done, as named, ordered, declarative steps.
