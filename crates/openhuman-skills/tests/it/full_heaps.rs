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

#[tokio::test(flavor = "multi_thread")]
async fn built_ins_that_come_when_touched_come_whole_or_not_at_all() {
    let engine = Engine::builder().workers(1).build().unwrap();
    for (index, (touch, check)) in [
        (
            "new Map([[1, 2]])",
            "[...new Map([[1, 2]]).entries(), new WeakSet().has({})]",
        ),
        (
            "new WeakRef({})",
            "[typeof FinalizationRegistry, typeof new WeakRef(all).deref()]",
        ),
        (
            "new Uint8Array(1)",
            "[new Float64Array(2).length, new Uint8Array([255]).toHex(), typeof Atomics]",
        ),
        (
            "new DOMException('m', 'AbortError')",
            "[new DOMException('m', 'AbortError').code, DOMException.ABORT_ERR]",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        // The heap is full, and a little less so with each attempt.
        let body = format!(
            "const all = []; try {{ for (;;) all.push(new Array(100).fill(0.5)); }} catch {{}}
             let failed = 0; for (;;) {{ try {{ {touch}; break; }} catch {{ failed += 1; all.length -= 1; }} }}
             all.length = 0; return [failed > 1, {check}];"
        );
        let manifest = format!(r#"{{"id":"full-{index}","name":"x","memory_limit_mb":8}}"#);
        let package = SkillPackage::from_parts(&manifest, crate::support::tool(&body)).unwrap();
        let id = engine.install(package, Grant::none()).await.unwrap();
        engine.start(&id).await.unwrap();
        let text = crate::support::call(&engine, &id, serde_json::json!({}))
            .await
            .unwrap();
        let expected = [
            "[true,[[1,2],false]]",
            r#"[true,["function","object"]]"#,
            r#"[true,[2,"ff","undefined"]]"#,
            "[true,[20,20]]",
        ];
        assert_eq!(Some(text.as_str()), expected.get(index).copied(), "{touch}");
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_heap_is_an_error_with_words_whatever_filled_it() {
    let engine = Engine::builder().workers(1).build().unwrap();
    for (index, fill) in [
        "for (;;) all.push(new Array(1000).fill(1));",
        "for (;;) all.push({});",
        "for (;;) all.push([]);",
        "for (;;) all.push(() => 1);",
        "for (let n = 0; ; n++) all.push('x' + n);",
        "for (;;) all.push(new Uint8Array(100));",
        "for (let n = 0; ; n++) all['k' + n] = { n };",
        "for (;;) all.push(new Map([[{}, {}]]));",
        "for (;;) all.push(Symbol());",
    ]
    .into_iter()
    .enumerate()
    {
        let manifest = format!(r#"{{"id":"words-{index}","name":"x","memory_limit_mb":8}}"#);
        let code = crate::support::tool(&format!("const all = []; {fill}"));
        let package = SkillPackage::from_parts(&manifest, code).unwrap();
        let id = engine.install(package, Grant::none()).await.unwrap();
        engine.start(&id).await.unwrap();
        for _ in 0..2 {
            let error = crate::support::call(&engine, &id, serde_json::json!({}))
                .await
                .unwrap_err();
            assert!(error.to_string().contains("out of memory"), "{fill}: {error}");
        }
    }
    engine.shutdown().await;
}
