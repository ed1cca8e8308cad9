"""Add the networks of a finished sweep to the rows of an earlier one that are kept next to a page.

    python benchmarks/add_networks.py sweeps/cifar10-zoo nbs/results/cifar10_zoo

Both must have explained the same images with the same profile. Networks that are kept already stay as they are, rows of single points of curves are left out, and the plan keeps the
data's name in place of a path of this machine.
"""
import argparse
import pandas as pd
from xainb.reports.evaluate import EvaluationReport
from xainb.store import Store

def same(plan, kept):
    "Whether two sweeps differ in nothing but their networks and the folder of the data"
    def rest(p): return {k: v for k, v in p['profile'].items() if k not in ('models', 'data')}, p['ids'], p['maps']
    return rest(plan) == rest(kept)

def add_networks(sweep, results, order=()):
    "Write plan, status and rows of both sweeps to the folder of results; in the order of `order`, if names of networks are given"
    new, kept = EvaluationReport(sweep), EvaluationReport(results)
    if not same(new.plan, kept.plan): raise SystemExit(f"'{sweep}' and '{results}' are of other profiles or images")
    if new.failed_runs(): raise SystemExit(f"runs of '{sweep}' failed: {new.failed_runs()}")
    there = {r['id'] for r in kept.plan['runs']}
    runs = kept.plan['runs'] + [r for r in new.plan['runs'] if r['id'] not in there]
    place = {name: i for i, name in enumerate(order)}
    runs = sorted(runs, key=lambda r: place.get(r['name'], len(place)))
    wide = new.rows[~new.rows.run.isin(there) & new.rows['at'].isna()]
    rows = pd.concat([kept.rows, wide], ignore_index=True)
    status = {s['run']: s for s in new.status} | {s['run']: s for s in kept.status}
    store = Store(results).pack(results, rows)
    store.save_json('plan', kept.plan | dict(runs=runs, profile=kept.profile | dict(models=[r['name'] for r in runs])))
    store.save_json('status', [status[r['id']] for r in runs])
    print(f"{len(runs)} networks, {len(runs) - len(there)} of them new; {len(rows)} rows, {len(wide)} of them new")

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('sweep')
    parser.add_argument('results')
    parser.add_argument('--order', default='', help='names of networks, with commas between them')
    a = parser.parse_args()
    add_networks(a.sweep, a.results, [n for n in a.order.split(',') if n])
