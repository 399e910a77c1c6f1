//! What Linux tells of processes: their time, their memory, their children.

/// Of `/proc/PID/stat`; Linux shows all programs the same on x86 and ARM.
const TICKS_PER_SECOND: f64 = 100.0;

/// The process and all that descend from it.
pub fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        next += 1;
    }
    found
}

/// A field of a file of the process that counts kilobytes.
pub fn kilobytes(pid: u32, file: &str, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The letter of a process's state, and the processor seconds of it and of its children that have ended.
pub fn stat(pid: u32) -> Option<(char, f64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |i: usize| fields.get(i)?.parse::<u64>().ok();
    let sum = (11..15).map(ticks).sum::<Option<u64>>()?;
    Some((fields.first()?.chars().next()?, sum as f64 / TICKS_PER_SECOND))
}

/// Seconds that all cores have been at work since the machine started.
pub fn busy_seconds() -> std::io::Result<f64> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let fields = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
    const IDLE: [usize; 2] = [3, 4];
    let busy =
        ticks.iter().take(8).enumerate().filter(|(i, _)| !IDLE.contains(i)).map(|(_, t)| t).sum::<u64>();
    Ok(busy as f64 / TICKS_PER_SECOND)
}
