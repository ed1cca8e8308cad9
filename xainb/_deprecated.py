"""Names of version 0.1, which keep working for one minor version with a `DeprecationWarning`; CHANGELOG.md has the table.

An import hook finds the modules of 0.1 that moved, so that `from xainb.roar import Study` still works, and gives the modules that did not
move a `__getattr__` for their old names. `xainb.data` and `xainb.models`, which are packages today, have theirs in their `__init__.py`.
"""
import difflib, importlib, sys, warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader

modules = { # Module of 0.1 -> the modules that hold its names today
    'data': 'data.images data.scenes data.shifts', 'text': 'data.text models.nets studies.words',
    'models': 'models.zoo models.nets', 'security': 'data.tabular data.text models.nets studies.features',
    'graph': 'models.operations', 'inputs': 'models.adapters', 'speed': 'models.inference',
    'training': 'models.training', 'recipe': 'models.recipes', 'check': 'checks.explainers',
    'check_metric': 'checks.metrics', 'certify': 'checks.certificates', 'poison': 'studies.backdoors',
    'roar': 'studies.roar studies.base', 'trend': 'studies.trend', 'trend_study': 'studies.trend_study',
    'trend_table': 'reports.published', 'debugging': 'studies.shortcuts',
    'sweep': 'sweeps.sweep sweeps.plan sweeps.cli', 'estimate': 'sweeps.estimate sweeps.cli',
    'page': 'reports.page', 'report': 'reports.evaluate reports.base', 'roar_report': 'reports.roar',
    'trend_report': 'reports.trend', 'jobs': '', 'jobs.plan': 'sweeps.plan store core', 'jobs.run': 'sweeps.run',
    'jobs.evaluate': 'sweeps.evaluate', 'jobs.roar': 'sweeps.roar', 'jobs.trend': 'sweeps.trend',
}
packages = 'data', 'models' # Old modules whose name is a package's today
unmoved = ('core store stats viz interpret explainers.boundary explainers.cam explainers.controls explainers.ensembles explainers.gradient '
           'explainers.perturbation metrics.perturbation metrics.sanity').split()

names = { # Name of 0.1 -> name of today, wherever it is
    'explainers': 'explainer_registry', 'metrics': 'metric_registry', 'zoos': 'zoo_registry',
    'datasets': 'dataset_registry', 'nearest': 'unknown_name', 'spans': 'parameter_ranges', 'rows': 'metric_rows',
    'Truth': 'GroundTruth', 'check_truth': 'check_ground_truth', 'draw_truth': 'draw_ground_truth',
    'word_truth': 'word_ground_truth', 'some_truth': 'some_ground_truth', 'rows_at_once': 'default_batch_size',
    'steps_at_once': 'default_step_batch', 'rows_for': 'batch_size_for', 'backing_off': 'halving_on_oom',
    'Recent': 'LRUCache', 'dumps': 'canonical_json', 'place': 'as_path', 'Race': 'SequentialComparison',
    'certify': 'certify_exactness', 'Certificate': 'ExactnessCertificate', 'calibrate': 'tune_inference',
    'tuned': 'tuned_inference', 'Settings': 'InferenceSettings', 'try_rows': 'try_batch_sizes',
    'Study': 'RoarStudy', 'said_of': 'explainer_spec', 'said_probability': 'target_probability',
    'narrow': 'customize_profile', 'narrow_evaluation': 'customize_profile', 'narrow_roar': 'customize_profile',
    'narrow_trend': 'customize_profile', 'shap': 'expected_gradients', 'shap_draws': 'expected_gradients_samples',
    'big': 'boundary_integrated_gradients', 'bsm': 'boundary_saliency_map',
    'agi': 'adversarial_gradient_integration', 'agi_ways': 'agi_paths', 'centre_blob': 'center_blob',
    'grey_levels': 'gray_levels', 'mean_colour': 'mean_color', 'colour': 'color', 'colours': 'colors',
    'data_colour': 'data_color', 'load_model': 'build_model', 'AlexNet': 'DemoAlexNet',
    'GoogLeNet': 'DemoGoogLeNet', 'ResNet': 'DemoResNet', 'DenseNet': 'DemoDenseNet',
    'MobileNetV2': 'DemoMobileNetV2', 'tour': 'perturbation_stops', 'walk': 'visit_stops',
    'Figure': 'CompactFigure', 'ColouredWords': 'ColoredWords', 'feature_set': 'feature_explainers',
    'word_set': 'word_explainers', 'trend_set': 'trend_explainers', 'quick_set': 'quick_explainers',
    'paper_set': 'paper_explainers', 'roar_set': 'roar_explainers', 'roar_eight': 'eight_roar_explainers',
    'roar_subset': 'roar_explainer_subset', 'reduction': 'reduction_test', 'synthesis': 'synthesis_test',
    'augmentation': 'augmentation_test', 'parameter_randomisation': 'parameter_randomization',
    'randomised': 'randomized', 'train_randomised': 'train_randomized', 'Randomise': 'Randomize',
    'optimiser': 'optimizer', 'Unreadable': 'UnreadableImage', 'numbers_in': 'parse_numbers',
    'spoken': 'format_duration', 'spoken_bytes': 'format_bytes', 'looks_up_to': 'check_schedule',
    'fewest': 'min_images', 'first_look': 'first_check', 'as_matrix': 'pairwise_matrix',
    'affordable': 'affordable_explainers', 'found_map': 'find_feature_map', 'FoundMap': 'FeatureMap',
    'nine': 'nine_explainers', 'controls': 'control_explainers', 'published': 'published_settings',
    'small': 'demo_settings', 'few': 'photo_settings', 'tiny': 'smoke_settings', 'four': 'four_metrics',
    'fewer_steps': 'four_metrics_and_fidelity', 'twelve': 'paper_models', 'at_and_from_boundary': 'boundary_pairs',
    'features': 'tabular', 'rectifier_nodes': 'relu_nodes', 'upright': 'channels_first', 'once': 'cached_on_report',
    'sign': 'effect_sign', 'Profile': 'EvaluationProfile', 'Report': 'EvaluationReport', 'study_of': 'roar_study',
    'same_run': 'check_same_run', 'judged': 'better_direction', 'priced': 'count_cost',
    'smaller': 'with_fewer_samples', 'weighed': 'with_checksum', 'options': 'profile_options',
    'in_the_object': 'object_titles', 'Calibration': 'MachineTimings', 'calibration': 'measure_timings',
    'shortest': 'shortest_time', 'share_of_machine': 'jobs_and_threads', 'alone': 'exclusive_use',
    'placed': 'to_model_device', 'plan_command': 'plan_main', 'DigitScenes': 'PlainScenes', 'digit_scenes': 'plain_scenes',
}
# A name that only one old module gave another meaning
in_module = {('sweep', 'listed'): 'split_names', ('jobs.plan', 'jobs'): 'job_registry'}

def warn_caller(message):
    "A `DeprecationWarning` at the first line outside of this package, so that Python shows it to whoever wrote that line"
    level, frame = 2, sys._getframe(1)
    while frame.f_back and (part := frame.f_globals.get('__name__', '').partition('.')[0]) in ('xainb', 'importlib', 'contextlib'):
        level, frame = level + (part != 'importlib'), frame.f_back # `warnings` does not count the frames of an import
    warnings.warn(message, DeprecationWarning, stacklevel=level)

def current_choice(kind, name, renamed):
    "The present name of a choice, such as an order; one of version 0.1 warns"
    if name not in renamed: return name
    warn_caller(f"{kind} '{name}' is called '{renamed[name]}' since version 0.2; the old name goes with 0.3")
    return renamed[name]

def _warn(old, new): warn_caller(f"xainb.{old} is called xainb.{new} since version 0.2; the old name goes with 0.3")

def _found(module, name):
    "The value that `name` of an old module has today, and where it is"
    today = in_module.get((module, name)) or names.get(name, name)
    for new in modules.get(module, module).split():
        home = importlib.import_module(f'xainb.{new}')
        for known in (today, name):
            if known in vars(home): return vars(home)[known], f'{new}.{known}'
    raise AttributeError(f"module 'xainb.{module}' has no attribute '{name}'", name=name)

def names_of(module):
    "What makes an old module answer with the names of today: a module's `__getattr__`"
    def attribute(name):
        if name.startswith('__') and name != '__all__': raise AttributeError(name)
        if name == '__all__': return _all_of(module)
        value, where = _found(module, name)
        _warn(f'{module}.{name}', where)
        return value
    return attribute

def _all_of(module):
    found = [n for new in modules[module].split() for n in importlib.import_module(f'xainb.{new}').__all__]
    return list(dict.fromkeys([*found, *(old for old, new in names.items() if new in found)]))

def current_value(name):
    "The value of an attribute of the package that 0.1 knew by another name"
    import xainb
    if names.get(name) not in xainb._module_of:
        close = difflib.get_close_matches(name, xainb.__all__, n=1)
        raise AttributeError(f"module 'xainb' has no attribute '{name}'" + (f": did you mean '{close[0]}'?" if close else ''))
    _warn(name, names[name])
    return getattr(xainb, names[name])

class _WithOldNames(SourceFileLoader):
    "Loads a module that did not move, and lets it answer to its old names"
    def exec_module(self, module):
        super().exec_module(module)
        module.__getattr__ = names_of(module.__name__.partition('.')[2])

class _OldNames(MetaPathFinder, Loader):
    "Finds modules where 0.1 had them"
    def find_spec(self, fullname, path, target=None):
        package, _, module = fullname.partition('.')
        if package != 'xainb': return None
        if module in unmoved: return self._unmoved(fullname, path)
        if module in modules and module not in packages: return ModuleSpec(fullname, self, is_package=module == 'jobs')

    def _unmoved(self, fullname, path):
        spec = PathFinder.find_spec(fullname, path)
        if spec and type(spec.loader) is SourceFileLoader: spec.loader = _WithOldNames(fullname, spec.loader.path)
        return spec

    def create_module(self, spec): return None
    def exec_module(self, module):
        old = module.__name__.partition('.')[2]
        _warn(old, modules[old].split()[0] if modules[old] else 'sweeps')
        module.__getattr__ = names_of(old)

if not any(type(f).__name__ == '_OldNames' for f in sys.meta_path): sys.meta_path.insert(0, _OldNames())
