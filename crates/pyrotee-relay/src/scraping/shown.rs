//! The scrape targets for the admin listener.

use pyrotee_admin::ScrapeState;
use pyrotee_admin::json::scrape::{NEVER, ScrapeTargetJson, go_duration};
use pyrotee_admin::json::time;
use pyrotee_scrape::TargetStatus;

use super::Scraping;

impl ScrapeState for Scraping {
    fn jobs(&self) -> usize {
        self.scraper.jobs().len()
    }

    fn targets(&self) -> Vec<ScrapeTargetJson> {
        self.scraper.snapshot().into_iter().map(shown).collect()
    }
}

fn shown(target: TargetStatus) -> ScrapeTargetJson {
    ScrapeTargetJson {
        job: target.job,
        url: target.url,
        discovered_labels: target.discovered_labels,
        labels: target.labels,
        health: target.health.as_str().to_owned(),
        last_scrape: target.last_scrape.map_or_else(|| NEVER.to_owned(), time),
        last_error: target.last_error.unwrap_or_default(),
        last_scrape_duration: go_duration(target.last_duration.unwrap_or_default()),
        profile: target.profile,
    }
}
