//! End-to-end cases over the whole server, in this process.

mod docs;
