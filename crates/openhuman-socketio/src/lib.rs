//! A Socket.IO 5 and Engine.IO 4 client that keeps its connection.
