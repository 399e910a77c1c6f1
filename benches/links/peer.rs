//! The same model on the same batches with gsc, DGL and GraphStorm in turns: RGCN of two layers, 10 neighbours of each relation,
//! 1024 links, 32 negatives for each group of 32, the inner product, the softmax.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use crate::follow::{self, HEADING, Marks, Pace, Span, follow};
use crate::ours::Ours;
use crate::spread::Spread;
use crate::{Peer, Result, file};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Program {
    Gsc,
    Dgl,
    Graphstorm,
}

pub fn run(arguments: &Peer) -> Result<()> {
    let common = &arguments.common;
    let data = common.data.canonicalize().map_err(|e| format!("{}: {e}", common.data.display()))?;
    let graph = std::path::absolute(&common.work)?.join("links-graphstorm");
    let peers = Peers { arguments, data, graph };
    peers.build()?;
    for &threads in &common.threads {
        let mut paces: Vec<Vec<Pace>> = vec![Vec::new(); arguments.of.len()];
        for _ in 0..common.rounds {
            for (program, paces) in arguments.of.iter().zip(&mut paces) {
                paces.push(peers.pace(*program, threads)?);
            }
        }
        println!("{threads} threads\n{HEADING}");
        for (program, paces) in arguments.of.iter().zip(&paces) {
            follow::tell(&format!("{program:?}"), paces);
        }
        tell_ratios(&arguments.of, &paces);
    }
    Ok(())
}

fn tell_ratios(of: &[Program], paces: &[Vec<Pace>]) {
    let median = |paces: &[Pace], of: fn(&Pace) -> f64| Spread::of(paces.iter().map(of)).median;
    let Some(ours) = of.iter().position(|program| *program == Program::Gsc) else { return };
    for (program, theirs) in of.iter().zip(paces).filter(|(program, _)| **program != Program::Gsc) {
        println!(
            "{program:?} takes {:.2} times as long, {:.2} times the processor time.",
            median(theirs, |pace| pace.seconds) / median(&paces[ours], |pace| pace.seconds),
            median(theirs, |pace| pace.cpu) / median(&paces[ours], |pace| pace.cpu),
        );
    }
}

struct Peers<'a> {
    arguments: &'a Peer,
    data: PathBuf,
    /// Folder of GraphStorm's graph, which is built once.
    graph: PathBuf,
}

impl Peers<'_> {
    fn ours(threads: u16) -> Ours<'static> {
        Ours { file: "mag.gsl", experiment: "joint", negatives: 32, threads }
    }

    fn build(&self) -> Result<()> {
        let common = &self.arguments.common;
        Self::ours(2).build(common, &self.data)?;
        if !self.arguments.of.contains(&Program::Graphstorm) || self.graph.join("mag.json").exists() {
            return Ok(());
        }
        let mut command = self.python()?;
        command.args([
            "-m",
            "graphstorm.gconstruct.construct_graph",
            "--graph-name",
            "mag",
            "--num-parts",
            "1",
        ]);
        command.arg("--conf-file").arg(file("mag.json")).arg("--output-dir").arg(&self.graph);
        command.args(["--part-method", "random", "--num-processes", "2", "--add-reverse-edges"]);
        let built = command.current_dir(&self.data).output()?;
        match built.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&built.stderr).into()),
        }
    }

    fn python(&self) -> Result<Command> {
        let mut command = Command::new(std::path::absolute(&self.arguments.python)?);
        command.env("DGLBACKEND", "pytorch").env("PYTHONUNBUFFERED", "1");
        Ok(command)
    }

    fn pace(&self, program: Program, threads: u16) -> Result<Pace> {
        let common = &self.arguments.common;
        let mut command = self.python()?;
        command.env("OMP_NUM_THREADS", threads.to_string());
        let batch = match program {
            Program::Gsc => return Self::ours(threads).pace(common, &self.data),
            Program::Dgl => {
                command
                    .arg(file("train_dgl.py"))
                    .arg(&self.data)
                    .args(["--batches", &(common.to + 1).to_string()]);
                dgl_batch
            }
            Program::Graphstorm => {
                self.launch(&mut command);
                graphstorm_batch
            }
        };
        let log = common.work.join(format!("links-{program:?}.log").to_lowercase());
        follow(
            &mut command,
            &log,
            &Marks { file: log.clone(), batch },
            Span { from: common.from, to: common.to },
        )
    }

    /// By its launcher, with one server and one trainer on this machine.
    fn launch(&self, command: &mut Command) {
        command.args([
            "-m",
            "graphstorm.run.gs_link_prediction",
            "--num-trainers",
            "1",
            "--num-servers",
            "1",
        ]);
        command.args(["--num-samplers", "0", "--workspace"]).arg(&self.graph);
        command.arg("--part-config").arg(self.graph.join("mag.json")).arg("--cf").arg(file("mag.yaml"));
        command.current_dir(Path::new(&self.graph));
    }
}

/// `batch N loss`
fn dgl_batch(line: &str) -> Option<u32> {
    line.strip_prefix("batch ")?.split(' ').next()?.parse().ok()
}

/// `… Epoch 00000 | Batch 020 | Train Loss: …`
fn graphstorm_batch(line: &str) -> Option<u32> {
    line.split_once("Epoch 00000 | Batch ")?.1.split(' ').next()?.parse().ok()
}
