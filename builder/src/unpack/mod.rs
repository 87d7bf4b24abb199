//! Packages, components and overlays become a tree.
