//! The OpenHuman core: skills, memory, tools and the link to a backend behind one builder.
