"""Which explanation of an image classifier can you trust, on which model, and at what cost?

`import xainb as xai` gives the public names below as `xai.gradcam`, `xai.explain`, …, and imports the module that defines a name when the
name is first used. `from xainb.all import *` gives the same names at once. Everything else is imported from its module, for example
`from xainb.explainers.gradient import gradient`, which is not in the list because `torch.gradient` is another function.
"""
import importlib

__version__ = "0.2.0"

_public = { # Module -> names; this is the only list of public names
    'core': 'BadInput NotApplicable GroundTruth explainer metric dataset logits count_passes pixel_map '
            'list_explainers explainer_table list_metrics metric_table list_datasets dataset_table',
    'store': 'Store',
    'stats': 'interval interval_table paired_difference compare_all rank_table verdict correlation rank_agreement images_needed '
             'SequentialComparison',
    'viz': 'show_maps plot_curves plot_intervals plot_ranks plot_critical_difference heat_table',
    'data.images': 'Images photos image_folder food101',
    'data.decoys': 'DecoyScenes decoy_scenes',
    'data.scenes': 'plain_scenes',
    'data.shifts': 'shifted',
    'data.text': 'texts',
    'data.tabular': 'tabular',
    'models.zoo': 'build_model list_models model_table model_card new_network normalized zoo',
    'models.adapters': 'FeatureNet TokenNet',
    'models.inference': 'tune_inference tuned_inference',
    'models.recipes': 'Recipe train_from_scratch',
    'models.training': 'pgd robust_accuracy demo_learner',
    'explainers.explain': 'explain Explanation',
    'explainers.gradient': 'gradient_magnitude input_x_gradient integrated_gradients expected_gradients',
    'explainers.cam': 'cam gradcam gradcam_plus_plus hirescam layercam xgradcam scorecam groupcam',
    'explainers.rules': 'guided_backprop deconvnet guided_gradcam deep_lift deep_lift_shap lrp_epsilon',
    'explainers.lrp_composites': '', # The explainer `lrp`, reached by its registered name
    'explainers.attn_lrp': '', # The explainer `attn_lrp`
    'explainers.ensembles': 'smoothgrad smoothgrad_squared vargrad',
    'explainers.perturbation': 'occlusion rise lime kernel_shap',
    'explainers.learned_masks': 'meaningful_perturbation extremal_perturbation',
    'explainers.boundary_search': 'boundary_search',
    'explainers.boundary': 'boundary_saliency_map boundary_integrated_gradients boundary_deep_lift boundary_smoothgrad '
                           'adversarial_gradient_integration',
    'explainers.controls': 'random_control sobel center_blob',
    'metrics.tiles': 'tile_scores',
    'metrics.grid': 'grid_pointing_game',
    'metrics.localization': 'pointing_game wsol wsol_score max_box_acc mask_energy relevance_mass_accuracy relevance_rank_accuracy '
                            'top_k_intersection pxap',
    'metrics.perturbation': 'deletion insertion road perturbation_curves reduction_test synthesis_test augmentation_test single_deletion',
    'metrics.fidelity': 'fidelity plot_fidelity',
    'metrics.conventions': 'list_conventions compare_conventions',
    'metrics.sanity': 'parameter_randomization random_logit max_sensitivity infidelity',
    'metrics.complexity': 'complexity sparseness',
    'checks.explainers': 'check_explainer',
    'checks.metrics': 'check_metric',
    'checks.certificates': 'certify_exactness ExactnessCertificate',
    'studies.roar': 'RoarStudy plot_roar',
    'studies.backdoors': 'Backdoor train_evolving',
    'studies.trend': 'embt ptt emt',
    'studies.trend_study': 'TrendStudy plot_trend_scores',
    'studies.shortcuts': 'study_shortcut',
    'interpret': 'AttributionInterpretation',
    'sweeps.plan': 'customize_profile list_profiles profile_table plan',
    'sweeps.sweep': 'sweep',
    'sweeps.estimate': 'estimate',
    'reports.evaluate': 'EvaluationReport',
    'reports.roar': 'RoarReport',
    'reports.trend': 'TrendReport',
    'explorer.explore': 'explore',
}
_module_of = {name: f'xainb.{module}' for module, names in _public.items() for name in names.split()}
layers = ( # The parts of the package, lowest first; a part imports only from layers below its own
    ('core',), ('store', 'stats', 'viz', 'html_page'), ('data',), ('models',), ('explainers',), ('metrics',), ('checks', 'studies'),
    ('interpret', 'sweeps', 'reports'), ('explorer',))
_parts = [part for layer in layers for part in layer]
__all__ = list(_module_of)

_registered_in = { # Names that read a registry -> the modules that fill it
    'list_explainers explainer_table check_explainer': [m for m in _public if m.startswith('explainers.')] + ['explainers.attention', 'explainers.attn_lrp'],
    'list_metrics metric_table check_metric': [m for m in _public if m.startswith('metrics.')],
    'list_datasets dataset_table': [m for m in _public if m.startswith('data.')],
    'customize_profile list_profiles profile_table plan': ['sweeps.evaluate', 'sweeps.roar', 'sweeps.trend'],
}
_fillers = {name: modules for names, modules in _registered_in.items() for name in names.split()}

def __getattr__(name):
    if name in _module_of:
        for module in _fillers.get(name, ()): importlib.import_module(f'xainb.{module}')
        value = getattr(importlib.import_module(_module_of[name]), name)
    elif name in _parts: return importlib.import_module(f'xainb.{name}')
    else:
        from xainb._deprecated import current_value
        return current_value(name)
    globals()[name] = value
    return value

def __dir__(): return sorted([*__all__, *_parts, '__version__'])

from xainb import _deprecated # noqa: modules of version 0.1
