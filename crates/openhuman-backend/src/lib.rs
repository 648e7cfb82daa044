//! A self-hostable Socket.IO backend that hosts the model for many desktops.
