//! Requests from outside.

use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::{HostError, Op, OpResult, give};
use crate::js::host::Host;
use crate::js::raw::Args;
use crate::{SkillId, Tunnels, WebhookRegistration};

pub(super) const OPS: &[Op] = &[
    Op {
        name: "webhook.register",
        run: register,
    },
    Op {
        name: "webhook.unregister",
        run: unregister,
    },
    Op {
        name: "webhook.list",
        run: list,
    },
    Op {
        name: "webhook.hasTunnels",
        run: has_tunnels,
    },
    Op {
        name: "webhook.createTunnel",
        run: create,
    },
    Op {
        name: "webhook.listTunnels",
        run: list_tunnels,
    },
    Op {
        name: "webhook.deleteTunnel",
        run: delete,
    },
];

fn granted(host: &Host, what: &str) -> Result<(), HostError> {
    if host.skill.grant().webhooks {
        return Ok(());
    }
    Err(HostError::Failed(format!(
        "{what}: not granted; ask for permissions.webhooks"
    )))
}

fn register<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    granted(host, "webhook.register")?;
    let tunnel_uuid = args.text(0)?;
    if tunnel_uuid.is_empty() || tunnel_uuid.len() > 128 {
        return Err(HostError::Type(
            "webhook.register: a tunnel's id has 1 to 128 characters".to_owned(),
        ));
    }
    let registration = WebhookRegistration {
        tunnel_uuid,
        skill_id: host.skill.id.clone(),
        tunnel_name: args.opt_text(1)?.as_deref().map(short),
        backend_tunnel_id: args.opt_text(2)?.as_deref().map(short),
    };
    let added = host.shared.webhooks.register(registration);
    added.map_err(|text| HostError::Failed(format!("webhook.register: {text}")))?;
    give(args, true)
}

fn short(text: &str) -> String {
    text.chars().take(256).collect()
}

fn unregister<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let there = host.shared.webhooks.unregister(&host.skill.id, &args.text(0)?);
    give(args, there)
}

fn list<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let mut mine = host.shared.webhooks.list();
    mine.retain(|known| known.skill_id == host.skill.id);
    let text = serde_json::to_string(&mine).map_err(|error| HostError::Failed(error.to_string()))?;
    give(args, text)
}

fn has_tunnels<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    give(args, host.shared.ports.tunnels.is_some())
}

fn create<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let (name, description) = (args.text(0)?, args.opt_text(1)?);
    let made = ask(host, "webhook.createTunnel", move |tunnels, skill| {
        Box::pin(async move { tunnels.create(&skill, name, description).await })
    })?;
    give(args, made.to_string())
}

fn list_tunnels<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let all = ask(host, "webhook.listTunnels", |tunnels, skill| {
        Box::pin(async move { tunnels.list(&skill).await })
    })?;
    give(args, all.to_string())
}

fn delete<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let id = args.text(0)?;
    ask(host, "webhook.deleteTunnel", move |tunnels, skill| {
        Box::pin(async move { tunnels.delete(&skill, id).await.map(|()| Value::Null) })
    })?;
    give(args, true)
}

fn ask(
    host: &Rc<Host>,
    what: &str,
    work: impl FnOnce(Arc<dyn Tunnels>, SkillId) -> BoxFuture<'static, Result<Value, String>>,
) -> Result<Value, HostError> {
    granted(host, what)?;
    let Some(tunnels) = host.shared.ports.tunnels.clone() else {
        return Err(HostError::Failed(format!("{what}: this host makes no tunnels")));
    };
    host.wait_for(work(tunnels, host.skill.id.clone()))?
        .map_err(|text| HostError::Failed(format!("{what}: {text}")))
}
