//! One tool hub, spoken as the Model Context Protocol over stdio and over Socket.IO events.
