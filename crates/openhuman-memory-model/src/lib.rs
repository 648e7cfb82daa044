//! A static embedding table distilled from MiniLM: 30,522 word pieces, 256 dimensions, int8, as data.
