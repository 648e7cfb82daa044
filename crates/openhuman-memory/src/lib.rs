//! What an assistant knows: chunked, embedded, indexed and searched by meaning and by words, encrypted at rest.
