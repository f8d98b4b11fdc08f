"""Figures as lines of a table, and what is aimed at beside what was found."""


class Report:
    def __init__(self):
        self.aims = []
        self.missed = 0

    @staticmethod
    def heading(text, unit="requests/s"):
        print(f"\n{text}\n{'':26}{unit:>12}{'p50 ms':>10}{'p99 ms':>10}{'CPU s':>9}{'CPU us':>9}"
              f"{'RSS MB':>9}", flush=True)

    @staticmethod
    def row(name, r):
        print(f"  {name:24}{r.per_second:12,.0f}{r.p50_ms:10.2f}{r.p99_ms:10.2f}{r.cpu_s:9.2f}"
              f"{r.cpu_us_each:9.1f}{r.rss_mb:9.1f}", flush=True)

    def at_least(self, what, found, aim, unit=""):
        self._aim(what, found, ">=", aim, found >= aim, unit)

    def at_most(self, what, found, aim, unit=""):
        self._aim(what, found, "<=", aim, found <= aim, unit)

    def _aim(self, what, found, sign, aim, is_met, unit):
        verdict = "met" if is_met else "MISSED"
        line = f"  {what:46}{found:8.2f}{unit:4}aim {sign} {aim:g}{unit}  {verdict}"
        self.aims.append(line)
        self.missed += not is_met
        print(line, flush=True)

    def summary(self):
        print("\nAll aims\n" + "\n".join(self.aims))
        print(f"\n{len(self.aims) - self.missed} of {len(self.aims)} aims met")
