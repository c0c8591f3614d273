"""The words: what names each of the 14 lesions, what negates, hedges or dates it, and which side a phrase means.

A phrase is a row of words. ``a|b`` is a choice, ``word?`` may be missing, ``nodule(s)`` may carry the ending, and ``_`` joins the words of one
choice (``cardiac_silhouette``). Matching is by whole words, longest phrase first, so that a longer phrase takes a shorter one out of play:
``subcutaneous emphysema`` is listed as another thing and is never emphysema.

What counts as a lesion follows the expert labels of Indiana University's reports (Demner-Fushman et al., J Am Med Inform Assoc 23(2), 2016;
https://doi.org/10.1093/jamia/ocv080) as collected by NegBio (Peng et al., AMIA Informatics Summit 2018): a granuloma is
no nodule, hyperinflation and COPD are no emphysema, a blunted costophrenic angle is no effusion, vascular congestion is no
edema, airspace disease is no consolidation, scarring is no fibrosis, and a heart of borderline size is cardiomegaly where "upper limits of
normal" is not.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


LESION_PHRASES: dict[str, tuple[str, ...]] = {
    "cardiomegaly": (
        "cardiomegaly",
        "cardiomegalic",
        "enlarged|large|borderline|borderline_enlarged heart|heart_size|heart_shadow|heart_silhouette|hearts",
        "enlarged|large|borderline|borderline_enlarged cardiac silhouette|size|shadow|contour(s)",
        "cardiac|heart|cardiac_silhouette enlargement",
        "enlargement of the? heart|heart_size|cardiac_silhouette|cardiac_shadow|cardiac_size",
        "increase(d) in? the? heart_size|cardiac_size|cardiac_silhouette|size_of_the_heart|size_of_the_cardiac_silhouette",
        "increased cardiothoracic ratio",
    ),
    "emphysema": ("emphysema", "emphysematous"),
    "pleural effusion": (
        "pleural? effusion(s)",
        "pleural? effusion(s)|fluid collection(s)",
        "pleural fluid",
        "fluid in|within the? left|right? pleural",
        "fluid in|within|along the? left|right? major|minor|horizontal|oblique|interlobar? fissure(s)",
        "fissural fluid",
        "layering fluid",
        "hydrothorax|hemothorax|haemothorax",
    ),
    "hernia": (
        "hernia(s)|herniae",
        "hiatal|hiatus|paraesophageal|diaphragmatic|bochdalek|morgagni|retrocardiac hernia(s)",
        "herniation of the? stomach|bowel|colon|liver|omentum|abdominal",
        "intrathoracic stomach",
    ),
    "nodule": ("nodule(s)", "micronodule(s)", "coin lesion(s)", "nodular opacity|opacities|density|densities|lesion(s)|focus|foci"),
    "pneumothorax": ("pneumothorax(es)", "pneumothoraces", "ptx", "pleural air", "air in|within the? left|right? pleural"),
    "atelectasis": ("atelectasis", "atelectases", "atelectatic"),
    "pleural thickening": (
        "pleural|apical|pleuroparenchymal|pleuro_parenchymal|pleural_parenchymal thickening(s)",
        "pleural apical|apex thickening",
        "apical|pleural|biapical|bi_apical|apical_pleural|biapical_pleural|pleural_apical cap|caps|capping",
        "thickening of the? left|right? apical? pleura",
        "thickened pleura",
    ),
    "mass": ("mass(es)", "tumor(s)|tumour(s)", "neoplasm(s)"),
    "edema": ("edema|oedema|edematous",),
    "consolidation": ("consolidation(s)", "consolidative", "consolidated"),
    "infiltration": ("infiltrate(s)", "infiltration(s)", "infiltrative"),
    "fibrosis": ("fibrosis", "fibrotic"),
    "pneumonia": ("pneumonia(s)", "bronchopneumonia(s)", "pneumonic"),
}

TWO_LESION_PHRASES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("pleural effusion", "pneumothorax"): ("hydropneumothorax(es)", "hydropneumothoraces", "hemopneumothorax", "haemopneumothorax"),
}
"""one word that names two lesions"""

OTHER_THINGS: tuple[str, ...] = (
    "subcutaneous|surgical|soft_tissue|mediastinal emphysema",
    "emphysema in|within|of|along the? subcutaneous|soft|left_chest_wall|right_chest_wall|chest",
    "pericardial|joint|knee effusion(s)",
    "pericardial and? pleural? fluid",
    "pericardial fluid",
    "soft_tissue|subcutaneous|peripheral|leg|chest_wall|laryngeal|cerebral|bone_marrow|breast edema|oedema",
    "cystic fibrosis",
    "mass effect",
    "mass like",
    "body|bone|muscle|lean mass",
    "thyroid nodule(s)",
    "umbilical|inguinal|ventral|incisional|disc|disk|abdominal_wall hernia(s)",
    "hernia repair",
    "hiatal|inguinal|ventral|umbilical|diaphragmatic hernia repair",
    "bronchial|peribronchial|bronchial_wall|airway|wall|septal|interstitial|interlobular|cortical|skin|skin_fold|paratracheal|fissural|tissue|"
    "mucosal|cuff thickening",
    "thickening of the? bronchial|fissure|interlobular|septa",
    "left|right ventricle|ventricular|atrium|atrial",
    "heart failure|border(s)|rate|valve(s)",
    "left|right sided? upper_extremity|arm|internal? picc|picc_line|port|port_a_cath|portacath|mediport|catheter|jugular|ij|subclavian|pacemaker|"
    "pacer|icd|aicd|pacing_device|pacemaker_device|central_line|central_venous|venous|dialysis|leads",
    "left|right chest_wall? port|pacemaker|pacer|icd|aicd|device|generator",
    "left|right rib(s)|clavicle|humerus|humeral|shoulder|breast|axilla|axillary|scapula|arm",
    "left aortic_arch|sided_aortic_arch",
    "non consolidating",
    "infection|pneumonia prevention",
)
"""phrases that contain the words of a lesion or a side and mean something else"""

GOLD_OPENI_OTHER_THINGS: tuple[str, ...] = (
    "hiatal|hiatus|paraesophageal|retrocardiac? hiatal? hernia(s)",
    "bullous emphysema|emphysematous",
    "nodular opacity|opacities|density|densities|lesion(s)|focus|foci",
)
GOLD_OPENI_LESION_PHRASES: dict[str, tuple[str, ...]] = {
    "pleural effusion": ("pericardial effusion(s)",),
    "nodule": ("fibronodular|reticulonodular",),
    "pleural thickening": ("interlobar? fissural thickening", "bronchial|peribronchial wall? thickening|cuffing", "thickening of the? fissure(s)"),
}
"""Where the code lists behind the gold cut otherwise: "Hernia, Hiatal", "Bullous Emphysema" and "Density, round" are codes of their own and were
not counted in; a pericardial effusion was counted as an effusion, any thickening (of bronchi, of a fissure) as "Thickening", and what is called
fibronodular as a nodule."""

PARTS: dict[str, tuple[str, ...]] = {
    "heart": (
        "heart(s)",
        "heart size|silhouette|shadow|contour",
        "cardiac silhouette|size|shadow|contour(s)",
        "cardiac and? mediastinal",
        "cardiac , mediastinal",
        "cardiomediastinal",
    ),
    "enlarged": ("enlarged", "large", "borderline", "enlargement", "increased in size"),
    "normal": ("normal", "unremarkable", "within limits", "nonenlarged"),
    "thickening": ("thickening", "thickened"),
    "collapse": ("collapse", "collapsed"),
}
"""words that name a lesion only in company: see ``scope._lesions``"""

PLEURA = _words("pleura pleural pleuroparenchymal apical apices apex biapical costophrenic")
LUNG_PARTS = _words("lung lungs lobe lobes lobar lingula lingular segment segments segmental rul rml rll lul lll")
"""the company of thickening and of collapse"""

SIDE_PHRASES: dict[str, tuple[str, ...]] = {
    "left": ("left", "left sided|side", "lul|lll", "lingula|lingular"),
    "right": ("right", "right sided|side", "rul|rml|rll", "right? middle lobe"),
    "bilateral": (
        "bilateral|bilaterally|bilat",
        "both|either sides|lungs|bases|apices|lobes|lower|upper|hemithoraces|costophrenic|side|lung?",
        "bibasilar|bibasal|biapical|bi_basilar|bi_basal|bi_apical|bihilar|bilobar",
    ),
}

_ADVERB = (
    "definitely|definitively|clearly|convincingly|confidently|currently|longer|distinctly|discretely|directly|radiographically|specifically|"
    "significantly|otherwise|readily|reliably|now|obviously|grossly|appreciably"
)
_SEEN = (
    "seen|identified|appreciated|noted|visualized|visualised|visible|demonstrated|present|evident|detected|observed|found|apparent|suggested|"
    "confirmed|depicted|shown|recognized|suspected"
)
_DEGREE = (
    "significant|significant_interval|interval|substantial|appreciable|appreciable_interval|definite|definite_interval|gross|relevant|major|marked|"
    "evidence_of|radiographic|obvious|short_interval|other"
)
_CHANGE = "change(s)|increase|decrease|worsening|improvement|progression|growth|difference"

CUES: dict[str, tuple[str, ...]] = {
    "pseudo": (
        f"no|without {_DEGREE}? {_CHANGE} in|of|to|from?",
        "not only|significantly_changed|changed|appreciably_changed|substantially_changed|markedly_changed",
        "not as? well|fully|optimally|completely|entirely|adequately "
        "seen|visualized|evaluated|demonstrated|defined|assessed|imaged|resolved|included|appreciated|cleared",
        "has|have not yet? resolved|cleared",
        "not yet? resolved|cleared",
        "nearly|almost|partially|incompletely|partly completely? resolved|cleared",
        "near|near_complete|nearly_complete|partial|incomplete|almost_complete interval? resolution|clearing of?",
        "not yet? been? resected|excised",
        "no doubt|further",
        "no resolution of?",
        "not calcified",
        "no_longer_as|not_as large|prominent|conspicuous|dense|extensive|pronounced",
    ),
    "negation": (
        "no",
        "not",
        "non",
        "nor",
        "neither",
        "without",
        "w / o",
        "free of|from",
        "clear of",
        "negative for",
        "absence|lack of",
        "absent",
        "devoid of",
        "fails|failed|failure to demonstrate|show|reveal",
        "rather than",
        "instead of",
        "resolution|disappearance|clearance|evacuation|resorption of",
        "exclude(s)",
        "rules out",
        "excluding",
        "unremarkable for",
        "never",
        "status post resolution|removal|resection|excision|repair of?",
        "removal|resection|excision|evacuation of",
    ),
    "denial": (
        f"not {_ADVERB}? be|been? {_SEEN}",
        f"cannot|can't|couldn't|isn't|aren't|wasn't be? {_SEEN}",
        "no longer be? identified|seen|present|visible|visualized|evident|demonstrated?",
        "is|are|was|were|now absent",
        "none",
        "has|have|had|is|are|now completely|fully|entirely|since|now|essentially|interval|largely? resolved|cleared|disappeared|regressed_completely",
        "resolved|disappeared",
        "interval|complete|interim resolution",
        "ruled out",
        "is|are|been|be excluded",
        "has|have been removed|resected|evacuated|drained",
        # Not "was removed" or "was drained": that is said of tubes, in one sentence with what is seen after it.
        "is|are|was|were|been surgically|completely|previously|since? resected|excised",
    ),
    "unlikely": (
        "unlikely",
        "doubt",
        "less|not|least likely|probable",
        "doubtful",
        "not thought_to|felt_to represent|reflect",
        "not_favored|disfavored",
    ),
    "exclusion": (
        "cannot|can't|couldn't|not be? entirely|completely|definitely|definitively|reliably|fully|totally? be? "
        "exclude|excluded|rule_out|ruled_out entirely?",
        "difficult|hard|impossible|unable to entirely|completely|definitely|fully|totally? exclude|rule_out",
        "difficult to be? excluded",
        "does|do not entirely|completely? exclude",
        "not_possible to exclude",
    ),
    "question": (
        "to|further? evaluate|assess|assessment|evaluation|correlate|correlation|surveillance|monitor|check|look|screen|screening for",
        "rule out",
        "r / o",
        "to|and exclude",
        "if",
        "whether",
        "clinical concern|suspicion for|of",
        "obscure(s)|obscuring|mask(s)|masking|hide(s)|hiding|mimic(s)|mimicking|simulate(s)|simulating",
        "treatment|therapy|treated of|for",
        "risk of|for",
        "correlate|correlation clinically for",
        "correlate|correlation with",
        "please correlate",
        "ensure|document|confirm clearing|resolution of?",
    ),
    "past": (
        "history|hx of? known?",
        "h / o",
        "prior|previous|previously|former|remote",
        f"previously|prior|earlier {_SEEN}|described|reported|mentioned|known|questioned",
        "status post",
        "s / p",
        "healed",
        "sequela|sequelae|residua of? prior|previous|old|remote",
    ),
    "present": (
        "unchanged|stable|again|persists|persist|persistent|persisting|remains|remain|redemonstrated|redemonstration|still|smaller|larger",
        "decreased|decrease|increased|increase|improved|improving|worsened|worsening|similar|progressed|residual|continued|grown|reduced|enlarging",
    ),
    # The split follows the expert gold: its readers took the first kind for a finding and passed over the second.
    "likely": (
        "likely|probable|probably|presumed|presumably|presumable|apparent|apparently due_to|secondary_to|related_to|caused_by?",
        "favor|favored|favoring|favors|favour|favoured",
        "felt|thought|believed to be|represent|reflect",
        "most consistent|compatible|in_keeping with",
    ),
    "identity": ("consistent|compatible|keeping with", "represents|representing|reflects|reflecting|indicative_of|in_keeping_with"),
    "possible": (
        "possible|possibly|potential|potentially|perhaps|conceivably due_to|secondary_to|related_to?",
        "may|might|could|can be|represent|reflect|indicate|suggest|relate|have|be_due_to|be_secondary_to|be_related_to?",
        "may|might|could be present",
        "suggest|suggests|suggesting|suggested|suggestive",
        "suspect|suspected|suspicious|suspicion",
        "concern|concerning|concerned|worrisome|worrying for|about?",
        "question|questionable|questionably|questioned|query|equivocal|uncertain|indeterminate",
        "raise(s)|raising the? possibility|question|concern|suspicion of|for?",
        "differential|differentials|differential_diagnosis|differential_considerations|considerations|consider|considered|consideration",
        "appropriate|right|proper|correct|given clinical setting|context",
        "suggestion|possibility of",
        "a possibility|consideration",
        "if any|present",
    ),
    "versus": ("versus|vs", "and / or", "/", "or"),
    "break": (
        "but|however|although|though|whereas|while|yet|nevertheless|nonetheless|otherwise",
        "except|except_for|other_than|apart_from|aside_from|besides|save_for|with_the_exception_of|in_addition_to",
        "due_to|secondary_to|owing_to|because_of|because|caused_by|obscured_by|related_to|as_a_result_of|in_the_setting_of|despite|in_spite_of|"
        "given|allowing_for|attributable_to|accounting_for|superimposed_on|in_this_patient_with|status_post_placement_of|explained_by",
    ),
}
"""``negation`` reaches forward, ``denial`` back, the others by their place; ``pseudo`` takes a word out of play ("no change in")."""

PREDICATES = _words(
    f"is are was were has have had appears appear remains remain shows show demonstrates demonstrate persists persist projects overlies lies "
    f"measures measuring {_SEEN.replace('|', ' ')}"
)
"""words that complete a statement: what comes after the next comma or "and" is a new one"""

STARTERS = _words(
    """small minimal mild moderate trace tiny slight subtle stable unchanged persistent persisting increased increasing decreased decreasing
    improved improving worsening worsened new severe marked chronic old patchy streaky linear left right bilateral bibasilar biapical there
    the a an this these it again calcified multiple scattered status findings"""
)
"""words that after a comma or "and" open an affirmative phrase: "no pneumothorax, small left effusion" """

SEPARATORS = _words(
    """in at on of within over throughout along involving near to from with and , or is are was were has have there than represent represents may
    likely possibly probably consistent compatible suggesting suggestive concerning due secondary demonstrates shows : ; versus / without as plus
    along but also"""
)
"""words that end a noun phrase, looking from a side to the lesion that it might belong to"""

PHRASE_LINKS = _words("with without ; as plus")
"""words across which a side does not reach back to a lesion: "effusion as well as opacities in the left lung" """

COMPANIONS = _words("associated adjacent overlying underlying compressive accompanying passive subjacent superimposed related concomitant")
"""words that tie a lesion to the place of the one before it"""

PREPOSITIONS = _words("in at on within over throughout along involving near projecting overlying")

LIST_ENDERS = _words("is are was were has have with without which that there appears remains but may likely probably possibly after where following")
"""words that show that two lesions are not items of one list"""

TAKEN_OUT = _words("resected excised")
"""last words of denials that are said of lobes too, and so deny a lesion only where it is what was taken out"""

AFTERTHOUGHTS = _words(", in on at with given and as but by from based")
"""words that, right after a cue, show that it speaks of what stands before it"""

SPEAKS_BACK = _words(
    """possible likely probable suspected suggested questioned questionable presumed favored considered uncertain equivocal indeterminate apparent
    possibility consideration any unlikely doubtful excluded exclude out entirely present"""
)
"""last words of cues that may speak of what stands before them"""

COPULAS = _words("is are was were be been felt thought considered also remains very most highly")
"""words before such a cue that make it a predicate"""

CONJUNCTIONS = frozenset(("and", "or", "/", "versus", "vs"))

DENIES_AHEAD = _words("no not resolved disappeared interval complete interim")
"""first words of denials that, with nothing behind them to deny, speak of what follows"""

LOOKS_BACK = _words("prior previous previously former earlier remote")
"""cues of the past that "unchanged" or "again seen" undo; "history of" is not undone"""

BETWEEN_SIDES = _words(
    """and or greater worse more larger less smaller than on in the at to of , / lung lungs lower upper mid middle lobe lobes base bases basilar side
    sided hemithorax zone zones apex apical slightly much perihilar basal also both prominent"""
)
"""words that may stand between left and right where both are meant"""

BRIDGES = _words(
    """and or / , versus vs with a an the associated adjacent overlying underlying compressive accompanying passive subjacent mild minimal small
    moderate large trace tiny subsegmental linear streaky patchy focal some pleural basilar basal loculated layering superimposed related
    concomitant concurrent lower upper lobe there is sized severe marked extensive subtle _ xxxx"""
)
"""words that may stand between two lesions that share a side: "left effusion with adjacent atelectasis" """

NOT_HEART = _words(
    """aorta aortic mediastinum mediastinal cardiomediastinal hilum hila hilar azygos artery arteries atrium atrial ventricle ventricular lungs
    volumes vessels lymph nodes thyroid diaphragm hemidiaphragm failure ; ."""
)
"""words after which "enlarged" is not said of the heart"""

NOT_LUNG = _words("vertebral vertebra vertebrae compression endplate body t5 t6 t7 t8 t9 t10 t11 t12 l1 l2 humeral femoral trachea tracheal")
"""words in whose company "collapse" is not said of a lung"""

CLOSERS = _words(
    """. , ; : ) ( / and but or with in for compared since from when as without on at to though although which likely stable unchanged again allowing
    given accentuated despite relative similar may suggesting consistent however even considering is there no"""
)
"""words before which a predicate is complete: "the heart is large." and not "the heart ... large hernia" """


SILENT_HEADERS = _words(
    "indication indications history reason technique comparison comparisons exam examination procedure clinical type study request admitting"
)
"""first or last words of headers whose section asserts no finding: INDICATION, CLINICAL HISTORY, REASON FOR EXAM, ..."""


def expand(phrase: str) -> Iterator[tuple[str, ...]]:
    """Every row of words that the phrase stands for."""
    choices: list[list[tuple[str, ...]]] = []
    for part in phrase.split():
        is_optional = part.endswith("?") and part != "?"
        words: list[tuple[str, ...]] = [()] if is_optional else []
        for choice in (part[:-1] if is_optional else part).split("|"):
            stem, _, ending = choice.rstrip(")").partition("(")
            row = tuple(stem.split("_"))
            words.append(row)
            if ending:
                words.append((*row[:-1], row[-1] + ending))
        choices.append(words)
    for rows in itertools.product(*choices):
        if row := tuple(itertools.chain.from_iterable(rows)):
            yield row
