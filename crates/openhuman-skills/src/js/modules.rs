//! ES modules: `import` of files inside the package, and nothing else.

use std::rc::Rc;

use rquickjs::loader::{ImportAttributes, Loader, Resolver};
use rquickjs::module::Declared;
use rquickjs::promise::PromiseState;
use rquickjs::{Ctx, Error, Exception, Module, Result};

use super::host::Host;
use crate::SkillPackage;

/// Finds and loads the files of one package.
#[derive(Clone)]
pub(super) struct Modules {
    host: Rc<Host>,
}

impl Modules {
    pub(super) fn new(host: &Rc<Host>) -> Self {
        Self {
            host: Rc::clone(host),
        }
    }

    fn package(&self) -> &SkillPackage {
        &self.host.skill.package
    }
}

impl Resolver for Modules {
    fn resolve<'js>(
        &mut self,
        _: &Ctx<'js>,
        base: &str,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<String> {
        let _host = self.host.control.enter_host();
        let found = resolve(base, name).filter(|path| self.package().file(path).is_some());
        found.ok_or_else(|| {
            Error::new_resolving_message(
                base,
                name,
                "only files of the package can be imported, as './name.js'",
            )
        })
    }
}

impl Loader for Modules {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<Module<'js, Declared>> {
        let _host = self.host.control.enter_host();
        let source = self
            .package()
            .file(name)
            .ok_or_else(|| Error::new_loading(name))?;
        if name.ends_with(".json") {
            // JSON is an expression of JavaScript, but for `__proto__`; parsing it as a string keeps it data.
            let text = serde_json::to_string(source).map_err(|_| Error::new_loading(name))?;
            return Module::declare(ctx.clone(), name, format!("export default JSON.parse({text});"));
        }
        Module::declare(ctx.clone(), name, source)
    }
}

/// Evaluates the entry; its default export, or its exports, become the skill.
pub(super) fn run_entry(ctx: &Ctx<'_>, host: &Rc<Host>) -> Result<()> {
    let package = &host.skill.package;
    let entry = package.manifest().entry.as_str();
    let module = Module::declare(ctx.clone(), entry, package.code())?;
    let (module, finished) = module.eval()?;
    // The script's own jobs run here, until its end or the limit; there is nothing else to wait for yet.
    while finished.state() == PromiseState::Pending {
        if host.control.poll() {
            return Err(Exception::throw_message(ctx, "the call was ended"));
        }
        if !ctx.execute_pending_job() {
            return Err(Exception::throw_message(
                ctx,
                "the module awaits a timer or a request at its top level; do that in init() or start()",
            ));
        }
    }
    finished.result::<()>().transpose()?;
    let exports = module.namespace()?;
    if ctx.globals().contains_key("__skill")? {
        return Ok(());
    }
    let skill = rquickjs::Object::new(ctx.clone())?;
    let default = exports.get::<_, rquickjs::Value<'_>>("default")?;
    if default.is_undefined() {
        return ctx.globals().set("__skill", exports);
    }
    skill.set("default", default)?;
    ctx.globals().set("__skill", skill)
}

/// The path of `name` as imported from `base`; `None` when it is not relative or leaves the package.
fn resolve(base: &str, name: &str) -> Option<String> {
    if !(name.starts_with("./") || name.starts_with("../")) {
        return None;
    }
    let mut parts: Vec<&str> = base.split('/').collect();
    parts.pop();
    for part in name.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop()?;
            }
            "" => return None,
            other => parts.push(other),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn imports_stay_inside_the_package() {
        assert_eq!(resolve("index.js", "./lib/a.js").as_deref(), Some("lib/a.js"));
        assert_eq!(resolve("lib/a.js", "../b.js").as_deref(), Some("b.js"));
        assert_eq!(resolve("lib/a.js", "./b.js").as_deref(), Some("lib/b.js"));
        for outside in [
            "../x.js",
            "./../x.js",
            "/etc/passwd",
            "node:fs",
            "https://example.com/x.js",
            "x.js",
            ".//x.js",
        ] {
            assert_eq!(resolve("index.js", outside), None, "{outside}");
        }
    }
}
