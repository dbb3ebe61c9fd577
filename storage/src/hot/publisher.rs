//! Makes durable groups visible, in the order of the log, and answers their senders.
use std::sync::Arc;

use tokio::sync::mpsc;

use super::Hot;
use crate::entry::{Appended, Decoded};
use crate::error::Error;
use crate::wal::{Group, Status};

/// See the module. One task; ends when the log's writer has ended.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) groups: mpsc::Receiver<Group>,
    pub(crate) hot: Arc<Hot>,
    pub(crate) status: Arc<Status>,
}

impl Publisher {
    /// Works until the writer ends.
    pub(crate) async fn run(mut self) {
        while let Some(group) = self.groups.recv().await {
            self.publish(group).await;
        }
    }

    async fn publish(&self, group: Group) {
        let decoded = match group.decoding {
            Some(decoding) => match decoding.await {
                Ok(Some(decoded)) => decoded,
                // The runtime is shutting down. Everything is in the log; the senders are told "closed".
                Ok(None) | Err(_) => return,
            },
            None => Decoded::default(),
        };
        self.status.unreadable.add(decoded.unreadable.len() as u64);
        self.hot.push(group.through, decoded.batches);
        drop(decoded.turn);
        for (answer, appended) in group.answers {
            let unreadable = match appended {
                Appended::Stored(seq) => {
                    decoded.unreadable.iter().any(|index| group.first.0 + *index as u64 == seq.0)
                }
                Appended::Duplicate => false,
            };
            let outcome = if unreadable {
                Err(Error::Invalid("the request cannot be decoded".into()))
            } else {
                Ok(appended)
            };
            // Whoever went away does not need to know.
            let _ = answer.send(outcome);
        }
        if let Some(drained) = group.drained {
            let _ = drained.send(());
        }
        drop(group.permits);
    }
}
