//! Skills that fill their heap again and again.

use openhuman_skills::{Engine, Grant, SkillError, SkillId, SkillPackage};

#[tokio::test(flavor = "multi_thread")]
async fn a_skill_that_fills_its_heap_at_each_start_is_quarantined_and_one_that_throws_is_not() {
    let engine = Engine::builder().workers(1).build().unwrap();
    let install = async |id: &str, init: &str| {
        let manifest = format!(r#"{{"id":"{id}","name":"x","memory_limit_mb":8}}"#);
        let code = format!("globalThis.__skill = {{ default: {{ tools: [], init() {{ {init} }} }} }};");
        let package = SkillPackage::from_parts(&manifest, code).unwrap();
        engine.install(package, Grant::none()).await.unwrap()
    };
    let full = install(
        "full",
        "const all = []; for (;;) all.push('x'.repeat(100000) + all.length);",
    )
    .await;
    let broken = install("broken", "throw new Error('no');").await;
    let start = async |id: &SkillId| engine.start(id).await.unwrap_err();
    let first = start(&full).await;
    assert!(first.to_string().contains("memory limit of 8 MB"), "{first}");
    let quarantined = async |id: &SkillId| {
        for _ in 0..5 {
            if matches!(start(id).await, SkillError::Quarantined { .. }) {
                return true;
            }
        }
        false
    };
    assert!(quarantined(&full).await);
    assert!(!quarantined(&broken).await);
    engine.shutdown().await;
}
