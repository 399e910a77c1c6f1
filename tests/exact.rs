//! The same numbers whatever happens: killed and resumed, one thread or two, one rank or four.

mod support;

use support::shop::{assert_ranks_agree, assert_resumes, assert_same, assert_threads_agree, losses, shop};

const KINDS: &str = r#"experiment kinds on shop {
    encode item  = concat(size, embedding(8)) |> linear(16)
    encode buyer = embedding(16)
    gnn          = RGCN(16, act: relu) >> dropout(0.3) >> GAT(16, heads: 4)
    predict item.kind { metrics = accuracy, f1(average: macro) }
    sample    = neighbors(5, 4)
    batch     = 96
    optimizer = adam(lr: 0.01, weight_decay: 1e-4, clip: 5.0), embeddings: sparse_adam(lr: 0.02)
    epochs    = 6
    stop      = patience(4, on: valid.accuracy)
    write predictions of item, embeddings of item to "out"
}
"#;

#[test]
fn killed_and_resumed_is_byte_equal_to_never_stopped() {
    assert_resumes(&shop(1600, KINDS), &[]);
}

#[test]
fn one_thread_and_two_give_the_same_bytes() {
    let folder = shop(1200, KINDS);
    folder.gsc(&["run", "shop.gsl", "--quiet", "--threads", "1", "--out", "one"]).ok();
    let once = std::fs::read(folder.at("out/item.kind.parquet")).expect("predictions");
    folder.gsc(&["run", "shop.gsl", "--quiet", "--threads", "2", "--out", "two"]).ok();
    assert_same(&folder.at("one/checkpoints"), &folder.at("two/checkpoints"));
    assert!(once == std::fs::read(folder.at("out/item.kind.parquet")).expect("predictions"));
}

#[test]
fn one_two_and_four_ranks_give_the_same_losses() {
    assert_ranks_agree(&shop(900, KINDS), &[]);
}

/// Stages, warm-up, decay, accumulation, a moving average, evaluation within epochs, several kept models, a formula.
const PACED: &str = r#"experiment paced on shop {
    encode item  = concat(size, embedding(8)) |> linear(16)
    encode buyer = embedding(16)
    gnn          = RGCN(16, act: relu) >> dropout(0.3) >> RGCN(16)
    predict item.kind { metrics = accuracy, f1(average: macro) }
    sample         = neighbors(5, 4)
    batch          = 96
    accumulate     = 3
    optimizer      = adamw(lr: 0.02, warmup: 20%, decay: cosine, clip: 1), embeddings: sparse_adam(lr: 0.02, warmup: 4, decay: linear)
    average        = ema(0.9)
    stage heads {
        train predict.item.kind, embeddings
        epochs = 2
    }
    stage rest {
        freeze encode.buyer, gnn.2
        epochs = 4
        lr     = 0.01
    }
    evaluate_every = 7 batches
    stop           = patience(5, on: 0.5 * valid.accuracy + 0.5 * valid.f1)
    best           = valid.f1 - 0.1 * valid.loss, keep: 3
}
"#;

#[test]
fn stages_schedules_averages_and_kept_models_resume_byte_by_byte() {
    assert_resumes(&shop(1600, PACED), &[]);
}

#[test]
fn stages_schedules_averages_and_kept_models_do_not_depend_on_threads_and_ranks() {
    let folder = shop(900, PACED);
    assert_threads_agree(&folder, &[]);
    assert_ranks_agree(&folder, &[]);
}

#[test]
fn another_seed_gives_other_numbers() {
    let folder = shop(600, KINDS);
    folder.gsc(&["run", "shop.gsl", "--quiet", "--log-steps", "--out", "a"]).ok();
    folder.gsc(&["run", "shop.gsl", "--quiet", "--log-steps", "--seed", "1", "--out", "b"]).ok();
    assert_ne!(losses(&folder.read("a/events.jsonl")), losses(&folder.read("b/events.jsonl")));
}
