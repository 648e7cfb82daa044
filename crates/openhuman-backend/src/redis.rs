//! Several instances behind one address, joined by one Redis server (feature `redis`).
//!
//! Redis is trusted: whoever can reach it can read what passes and speak for any instance. Give it a password or a
//! network of its own. For login tokens that are used once even across a crash of Redis, run it with `appendonly yes` and
//! `appendfsync always`.

mod cluster;
mod tokens;
mod tunnels;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::{Client, Connection, RedisError};

pub use cluster::RedisCluster;
pub use tokens::RedisTokenStore;
pub use tunnels::RedisTunnels;

use crate::error::BackendError;

/// How long connecting and one command may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// One connection, made again after it failed.
struct Link {
    client: Client,
    connection: Mutex<Option<Connection>>,
}

impl Link {
    fn connect(url: &str) -> Result<Link, BackendError> {
        let client = Client::open(url).map_err(|error| unreachable(&error))?;
        let link = Link {
            client,
            connection: Mutex::default(),
        };
        link.run(|connection| redis::cmd("PING").query::<String>(connection))
            .map_err(|error| unreachable(&error))?;
        Ok(link)
    }

    /// Runs commands on the connection. After a failure the next call connects again; nothing is repeated.
    fn run<T>(
        &self,
        commands: impl FnOnce(&mut Connection) -> Result<T, RedisError>,
    ) -> Result<T, RedisError> {
        let mut kept = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => {
                let connection = self.client.get_connection_with_timeout(PATIENCE)?;
                connection.set_read_timeout(Some(PATIENCE))?;
                connection.set_write_timeout(Some(PATIENCE))?;
                connection
            }
        };
        let done = commands(&mut connection);
        let broken = done
            .as_ref()
            .is_err_and(|error| error.is_io_error() || error.is_connection_dropped() || error.is_timeout());
        if !broken {
            *kept = Some(connection);
        }
        done
    }
}

fn unreachable(error: &RedisError) -> BackendError {
    BackendError::Cluster {
        reason: error.to_string(),
    }
}
