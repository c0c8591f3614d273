"""The words of the reports: how a radiologist names each lesion, its size, its place, and what became of it.

Fields in braces: ``sev`` size or severity, ``side`` left / right / bilateral, ``adj`` a place before the noun ("left lower lobe"), ``at`` a place
after it ("at the left lung base"). ``a~`` becomes a or an, or disappears before a plural or a mass noun.
"""

from __future__ import annotations

SEVERITY: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    # words for mild, moderate, severe; an empty word means that nothing is said
    "cardiomegaly": (("mild", "mild", "borderline to mild"), ("moderate",), ("severe", "marked", "massive")),
    "emphysema": (("mild", "mild", ""), ("moderate", ""), ("severe", "advanced", "marked")),
    "pleural effusion": (("small", "trace", "tiny", "minimal"), ("moderate", "moderate-sized", "moderate"), ("large", "very large", "massive")),
    "hernia": (("small", "small", ""), ("moderate", "moderate-sized", ""), ("large", "very large")),
    "pneumothorax": (("small", "tiny", "trace"), ("moderate", "moderate-sized"), ("large", "very large")),
    "atelectasis": (("mild", "minimal", "minor", ""), ("moderate", ""), ("extensive", "marked", "severe")),
    "pleural thickening": (("mild", "minimal", "slight"), ("moderate", ""), ("extensive", "marked")),
    "edema": (("mild", "minimal", "slight"), ("moderate", ""), ("severe", "marked", "florid")),
    "consolidation": (("subtle", "small", ""), ("", "moderate"), ("extensive", "dense", "large")),
    "infiltration": (("subtle", "faint", "mild"), ("", "moderate"), ("extensive", "marked")),
    "fibrosis": (("mild", "subtle", ""), ("moderate", ""), ("severe", "advanced", "extensive")),
    "pneumonia": (("early", "mild", ""), ("", ""), ("extensive", "severe")),
}

ADVERB = {
    "mild": "mildly",
    "borderline to mild": "mildly",
    "moderate": "moderately",
    "severe": "severely",
    "marked": "markedly",
    "massive": "massively",
}

PLACE_BEFORE: dict[str, dict[str, tuple[str, ...]]] = {
    "upper": {
        "left": ("left upper lobe", "left upper lung", "left upper zone"),
        "right": ("right upper lobe", "right upper lung", "right upper zone"),
        "bilateral": ("bilateral upper lobe", "bilateral upper lung"),
    },
    "mid": {
        "left": ("lingular", "left mid lung", "left perihilar"),
        "right": ("right middle lobe", "right mid lung", "right perihilar"),
        "bilateral": ("bilateral perihilar", "bilateral mid lung"),
    },
    "lower": {
        "left": ("left lower lobe", "left basilar", "left basal", "left lower lung"),
        "right": ("right lower lobe", "right basilar", "right basal", "right infrahilar"),
        "bilateral": ("bibasilar", "bilateral lower lobe", "bilateral basilar", "bibasal"),
    },
    "apical": {
        "left": ("left apical", "left-sided apical"),
        "right": ("right apical", "right-sided apical"),
        "bilateral": ("biapical", "bilateral apical"),
    },
}
PLACE_BEFORE["base"] = PLACE_BEFORE["lower"]
PLACE_BEFORE["pleura"] = {
    "left": ("left basal", "left lateral", "left-sided", "left costophrenic"),
    "right": ("right basal", "right lateral", "right-sided", "right costophrenic"),
    "bilateral": ("bilateral basal", "bilateral lateral", "bilateral"),
}

PLACE_AFTER: dict[str, dict[str, tuple[str, ...]]] = {
    "upper": {
        "left": ("in the left upper lobe", "in the left upper lung zone", "projecting over the left upper lung"),
        "right": ("in the right upper lobe", "in the right upper lung zone", "projecting over the right upper lung"),
        "bilateral": ("in both upper lobes", "in the upper lobes bilaterally", "in the upper lungs, right and left"),
    },
    "mid": {
        "left": ("in the lingula", "in the left mid lung", "in the left mid zone"),
        "right": ("in the right middle lobe", "in the right mid lung zone", "in the right mid lung"),
        "bilateral": ("in both mid lungs", "in the right middle lobe and lingula", "in the mid zones bilaterally"),
    },
    "lower": {
        "left": ("in the left lower lobe", "at the left lung base", "at the left base", "in the left lower lung"),
        "right": ("in the right lower lobe", "at the right lung base", "at the right base", "in the right lower lung"),
        "bilateral": ("at both lung bases", "in both lower lobes", "in the lower lungs bilaterally", "at the right and left lung bases"),
    },
    "apical": {
        "left": ("at the left apex", "at the left lung apex"),
        "right": ("at the right apex", "at the right lung apex"),
        "bilateral": ("at both apices", "at the lung apices bilaterally"),
    },
}
PLACE_AFTER["base"] = PLACE_AFTER["lower"]
PLACE_AFTER["pleura"] = {
    "left": ("at the left lung base", "along the left lateral chest wall", "at the left costophrenic angle"),
    "right": ("at the right lung base", "along the right lateral chest wall", "at the right costophrenic angle"),
    "bilateral": ("at both lung bases", "along the lateral chest walls bilaterally", "at both costophrenic angles"),
}

NOUNS: dict[str, tuple[tuple[str, str], ...]] = {
    # (noun phrase, number): "one" takes an article, "many" is plural, "mass" takes none; a trailing "!" = bilateral only, "1" = one-sided only
    "pleural effusion": (
        ("{sev} {side} pleural effusion", "one1"),
        ("{sev} {side}-sided pleural effusion", "one1"),
        ("{sev} {side} effusion", "one1"),
        ("{sev} pleural effusion on the {side}", "one1"),
        ("{sev} amount of {side} pleural fluid", "one1"),
        ("blunting of the {side} costophrenic angle compatible with {a~} {sev} pleural effusion", "mass1"),
        ("{sev} layering {side} pleural effusion", "one1"),
        ("{sev} bilateral pleural effusions", "many!"),
        ("{sev} pleural effusions bilaterally", "many!"),
        ("{sev} bilateral effusions", "many!"),
        ("{sev} bilateral pleural effusions, left greater than right", "many!"),
        ("{sev} effusions on both sides", "many!"),
        ("{sev} right and left pleural effusions", "many!"),
    ),
    "pneumothorax": (
        ("{sev} {side} pneumothorax", "one1"),
        ("{sev} {side}-sided pneumothorax", "one1"),
        ("{sev} {side} apical pneumothorax", "one1"),
        ("{sev} pneumothorax on the {side}", "one1"),
        ("{sev} {side} pneumothorax with a visible pleural line", "one1"),
        ("{sev} bilateral pneumothoraces", "many!"),
    ),
    "atelectasis": (
        ("{sev} {adj} atelectasis", "mass"),
        ("{sev} linear atelectasis {at}", "mass"),
        ("{sev} plate-like atelectasis {at}", "mass"),
        ("{sev} {adj} subsegmental atelectasis", "mass"),
        ("{sev} atelectasis {at}", "mass"),
        ("{sev} atelectatic changes {at}", "many"),
        ("{sev} discoid atelectasis {at}", "mass"),
        ("linear opacities {at}, in keeping with {sev} atelectasis", "many"),
        ("{sev} volume loss {at} with atelectasis", "mass"),
        ("{sev} streaky {adj} opacities compatible with atelectasis", "many"),
    ),
    "pleural thickening": (
        ("{sev} {adj} pleural thickening", "mass"),
        ("{sev} pleural thickening {at}", "mass"),
        ("{sev} thickening of the pleura {at}", "mass"),
        ("{sev} {adj} pleural thickening with scarring", "mass"),
        ("{sev} {side} pleural thickening", "mass"),
        ("{sev} thickened pleura {at}", "mass"),
    ),
    "edema": (
        ("{sev} pulmonary edema", "mass0"),
        ("{sev} interstitial pulmonary edema", "mass0"),
        ("{sev} interstitial edema", "mass0"),
        ("{sev} pulmonary vascular congestion with interstitial edema", "mass0"),
        ("{sev} bilateral perihilar haze consistent with pulmonary edema", "mass!"),
        ("{sev} edema with Kerley B lines", "mass0"),
        ("{sev} vascular redistribution and indistinctness in keeping with pulmonary edema", "mass0"),
        ("{sev} pulmonary oedema", "mass0"),
        ("{sev} fluid overload with pulmonary edema", "mass0"),
        ("{sev} {side} perihilar pulmonary edema", "mass1"),
        ("{sev} asymmetric pulmonary edema, {side} side only", "mass1"),
    ),
    "consolidation": (
        ("{sev} {adj} consolidation", "one"),
        ("{sev} consolidation {at}", "one"),
        ("{sev} focal consolidation {at}", "one1"),
        ("{sev} airspace consolidation {at}", "mass"),
        ("{sev} area of consolidation {at}", "one1"),
        ("{sev} consolidative opacity {at}", "one1"),
        ("{sev} {adj} consolidation with air bronchograms", "mass"),
        ("{sev} consolidations {at}", "many!"),
        ("{sev} {adj} consolidative opacities", "many!"),
    ),
    "infiltration": (
        ("{sev} {adj} infiltrate", "one1"),
        ("{sev} patchy infiltrate {at}", "one1"),
        ("{sev} ill-defined infiltrate {at}", "one1"),
        ("{sev} infiltrates {at}", "many"),
        ("{sev} {adj} infiltrates", "many"),
        ("{sev} patchy infiltration {at}", "mass"),
        ("{sev} hazy infiltrate {at}", "one1"),
    ),
    "fibrosis": (
        ("{sev} {adj} fibrosis", "mass"),
        ("{sev} pulmonary fibrosis {at}", "mass"),
        ("{sev} fibrotic changes {at}", "many"),
        ("{sev} reticular opacities {at} consistent with fibrosis", "many"),
        ("{sev} interstitial fibrosis {at}", "mass"),
        ("{sev} coarse reticular markings {at} in keeping with chronic fibrotic change", "many"),
        ("{sev} honeycombing and fibrosis {at}", "mass"),
        ("{sev} {adj} reticulation reflecting interstitial lung disease with fibrosis", "mass"),
    ),
    "pneumonia": (
        ("{sev} {adj} pneumonia", "mass"),
        ("{sev} pneumonia {at}", "mass"),
        ("{sev} {adj} opacity consistent with pneumonia", "one1"),
        ("{sev} airspace opacity {at} compatible with pneumonia", "one1"),
        ("{sev} lobar pneumonia {at}", "mass1"),
        ("{sev} {adj} airspace disease, in keeping with pneumonia", "mass"),
        ("{sev} bronchopneumonia {at}", "mass"),
        ("{sev} multifocal pneumonia {at}", "mass!"),
    ),
    "emphysema": (
        ("{sev} emphysema", "mass0"),
        ("{sev} emphysematous changes", "many0"),
        ("{sev} hyperinflation with flattened diaphragms, consistent with emphysema", "mass0"),
        ("{sev} centrilobular emphysema", "mass0"),
        ("{sev} COPD with emphysematous change", "mass0"),
        ("{sev} bullous emphysema", "mass0"),
        ("{sev} upper lobe predominant emphysema", "mass0"),
        ("{sev} emphysematous change of both lungs", "mass!"),
    ),
    "hernia": (
        ("{sev} hiatal hernia", "one0"),
        ("{sev} hiatus hernia", "one0"),
        ("{sev} retrocardiac hiatal hernia with an air-fluid level", "one0"),
        ("{sev} sliding hiatal hernia", "one0"),
        ("{sev} diaphragmatic hernia with retrocardiac lucency", "one0"),
        ("retrocardiac air-fluid level consistent with {a~} {sev} hiatal hernia", "one0"),
    ),
    "nodule": (
        ("{mm} mm nodule {at}", "one1"),
        ("{mm} mm {adj} nodule", "one1"),
        ("{cm} cm pulmonary nodule {at}", "one1"),
        ("rounded nodular opacity measuring {mm} mm {at}", "one1"),
        ("{adj} pulmonary nodule measuring up to {mm} mm", "one1"),
        ("{mm} mm calcified nodule {at}", "one1"),
        ("solitary nodule {at}", "one1"),
        ("nodules {at} measuring up to {mm} mm", "many!"),
        ("pulmonary nodules in both lungs", "many!"),
        ("bilateral lung nodules, the largest {mm} mm", "many!"),
    ),
    "mass": (
        ("{cm} cm mass {at}", "one1"),
        ("{cm} cm {adj} mass", "one1"),
        ("{adj} mass measuring {cm} cm", "one1"),
        ("lobulated mass {at}", "one1"),
        ("large spiculated mass {at}", "one1"),
        ("rounded mass lesion {at}", "one1"),
        ("{cm} cm {side} lung mass", "one1"),
        ("masses {at}", "many!"),
        ("bilateral lung masses", "many!"),
    ),
}

STATED = (
    "There {is} {a~} {np}.",
    "There {is} {a~} {np}.",
    "{A~} {np} {is} present.",
    "{A~} {np} {is} seen.",
    "{A~} {np} {is} noted.",
    "{A~} {np} {is} identified.",
    "{A~} {np}.",
    "The study demonstrates {a~} {np}.",
)
HEDGED = (
    "There {is} likely {a~} {np}.",
    "Possible {np}.",
    "Probable {np}.",
    "Findings are suggestive of {a~} {np}.",
    "There may be {a~} {np}.",
    "{A~} {np} {is} suspected.",
    "Appearance is concerning for {a~} {np}.",
    "Likely {np}.",
    "This may represent {a~} {np}.",
    "{A~} {np} {is} possible.",
    "Findings raise concern for {a~} {np}.",
    "Suspect {a~} {np}.",
)
CHANGED: dict[str, tuple[str, ...]] = {
    "unchanged": (
        "{A~} {np} {is} unchanged.",
        "Unchanged {np}.",
        "Stable {np}.",
        "Persistent {np}.",
        "Again seen {is} {a~} {np}, not significantly changed.",
        "{A~} {np} {is} stable compared to the prior study.",
        "As before, there {is} {a~} {np}.",
        "No significant change in {a~} {np}.",
        "There has been no interval improvement in {a~} {np}.",
        "{A~} {np} {has} not resolved.",
        "Without interval change, {a~} {np} {is} again demonstrated.",
    ),
    "increased": (
        "{A~} {np} {has} increased since the prior study.",
        "Interval increase in {a~} {np}.",
        "Worsening {np}.",
        "{A~} {np} {has} progressed from ___.",
        "{A~} {np} {is} larger than on the previous radiograph.",
    ),
    "decreased": (
        "{A~} {np} {has} decreased since the prior study.",
        "Interval decrease in {a~} {np}.",
        "Improving {np}.",
        "{A~} {np} {has} improved but not completely resolved.",
        "Residual {np}, decreased from ___.",
    ),
    "new": (
        "New {np}.",
        "Interval development of {a~} {np}.",
        "There {is} {a~} {np}, new since the prior study.",
        "Since ___, {a~} {np} {has} developed.",
        "{A~} {np} {is} new compared to ___.",
    ),
}
RESOLVED = (
    "Previously seen {np} {has} resolved.",
    "The previously noted {np} {is} no longer seen.",
    "Interval resolution of {a~} {np}.",
    "{A~} {np} {has} resolved since the prior study.",
    "The {np} on the prior exam {has} cleared.",
    "Resolved {np}.",
    "The prior {np} {is} no longer visualized.",
    "Interval clearing of {a~} {np}.",
    "{A~} {np} described previously {is} not present on today's study.",
)

HEART_ENLARGED = (
    "The heart is {adv} enlarged.",
    "{Sev} cardiomegaly.",
    "There is {sev} cardiomegaly.",
    "The cardiac silhouette is {adv} enlarged.",
    "Heart size is {adv} enlarged.",
    "{Sev} enlargement of the cardiac silhouette.",
    "{Sev} cardiac enlargement is present.",
    "The heart size is {adv} increased.",
    "Cardiomegaly is {sev}.",
    "Enlarged heart.",
)
HEART_ENLARGED_HEDGED = (
    "The heart appears enlarged, which may be accentuated by technique.",
    "Probable {sev} cardiomegaly.",
    "The heart is likely {adv} enlarged.",
    "Possible {sev} enlargement of the cardiac silhouette.",
)
HEART_ENLARGED_STABLE = (
    "The heart remains {adv} enlarged.",
    "Stable {sev} cardiomegaly.",
    "{Sev} cardiomegaly is unchanged.",
    "The cardiac silhouette remains enlarged, as before.",
    "Unchanged {sev} enlargement of the cardiac silhouette.",
)
HEART_NORMAL = (
    "The heart size is normal.",
    "Heart size is within normal limits.",
    "The cardiac silhouette is normal in size.",
    "Cardiac silhouette is unremarkable.",
    "Heart size is top normal.",
    "The heart is not enlarged.",
    "No cardiomegaly.",
    "Normal heart size.",
    "The cardiac size is at the upper limits of normal.",
    "There is no evidence of cardiac enlargement.",
    "Heart size is stable and normal.",
)
MEDIASTINUM_NORMAL = (
    "The mediastinal and hilar contours are normal.",
    "Mediastinal and hilar contours are unremarkable.",
    "The mediastinum and hila are within normal limits.",
    "Hilar and mediastinal silhouettes are unremarkable.",
    "Mediastinal contours are stable, and the hila are normal.",
)
CARDIOMEDIASTINAL_NORMAL = (
    "The cardiomediastinal silhouette is normal.",
    "Cardiomediastinal contours are within normal limits.",
    "The cardiac, mediastinal and hilar contours are normal.",
    "Cardiomediastinal silhouette is unremarkable.",
    "The cardiomediastinal and hilar silhouettes are normal.",
)
LUNGS_CLEAR = (
    "The lungs are clear.",
    "Lungs are clear bilaterally.",
    "Both lungs are clear.",
    "The lungs are well expanded and clear.",
    "Lungs are fully expanded and clear.",
    "Clear lungs.",
)
ABSENT: dict[str, tuple[str, ...]] = {
    # what may stand behind "no"
    "pleural effusion": ("pleural effusion", "effusion", "pleural effusions", "large pleural effusion", "evidence of pleural effusion"),
    "pneumothorax": ("pneumothorax", "evidence of pneumothorax", "appreciable pneumothorax"),
    "consolidation": ("focal consolidation", "consolidation", "lobar consolidation", "confluent consolidation"),
    "edema": ("pulmonary edema", "overt pulmonary edema", "interstitial edema", "evidence of pulmonary edema"),
    "pneumonia": ("evidence of pneumonia", "acute pneumonia", "focal opacity to suggest pneumonia", "radiographic evidence of pneumonia"),
    "infiltration": ("infiltrate", "focal infiltrate", "acute infiltrate"),
    "nodule": ("suspicious pulmonary nodule", "pulmonary nodules", "nodule"),
    "mass": ("mass", "pulmonary mass"),
    "atelectasis": ("atelectasis", "significant atelectasis"),
    "fibrosis": ("evidence of fibrosis",),
    "emphysema": ("evidence of emphysema",),
    "pleural thickening": ("pleural thickening",),
    "hernia": ("hiatal hernia",),
}
NOT_EXCLUDED: dict[str, tuple[str, ...]] = {
    "pneumonia": (
        "Superimposed pneumonia cannot be excluded.",
        "Underlying pneumonia cannot be excluded.",
        "Early pneumonia cannot be entirely excluded in the appropriate clinical setting.",
        "A developing pneumonia is not excluded.",
    ),
    "pleural effusion": (
        "A trace pleural effusion cannot be excluded.",
        "Tiny pleural effusions cannot be excluded.",
        "A small effusion is difficult to exclude.",
        "Cannot exclude a small left pleural effusion.",
    ),
    "pneumothorax": ("A tiny pneumothorax cannot be excluded on this supine film.", "Small apical pneumothorax cannot be entirely excluded."),
    "consolidation": ("An underlying consolidation cannot be excluded.", "Focal consolidation at the bases cannot be excluded."),
}
DENIALS = (
    "No {}.",
    "There is no {}.",
    "No {} is seen.",
    "There is no evidence of {}.",
    "No {} is identified.",
    "Negative for {}.",
    "The lungs are without {}.",
    "No definite {}.",
)
RATHER_THAN_FLUID = (
    "Blunting of the {side} costophrenic angle reflects pleural thickening rather than effusion.",
    "Blunted {side} costophrenic sulcus is due to chronic pleural thickening, not an effusion.",
)
AIR_IN_THE_WALL = (  # a trap: it has nothing to do with the lungs
    "Subcutaneous emphysema along the {side} chest wall.",
    "There is {side}-sided subcutaneous emphysema.",
    "Moderate subcutaneous emphysema is noted in the soft tissues on the {side}.",
)
BONES = (
    "No acute osseous abnormality.",
    "The osseous structures are unremarkable.",
    "No acute fracture is identified.",
    "Bony structures are intact.",
    "Degenerative changes are noted in the thoracic spine.",
    "Mild degenerative changes of the thoracic spine.",
    "Old healed right rib fractures are noted.",
    "There is no displaced rib fracture.",
    "S-shaped scoliosis of the thoracic spine.",
)
ABDOMEN = (
    "No free air below the right hemidiaphragm.",
    "There is no subdiaphragmatic free air.",
    "The upper abdomen is unremarkable.",
    "Visualized upper abdomen is within normal limits.",
    "Surgical clips project over the right upper quadrant.",
)
AORTA = (
    "The aorta is tortuous.",
    "Aortic knob calcifications are noted.",
    "The thoracic aorta is mildly unfolded.",
    "Atherosclerotic calcification of the aortic arch.",
)
VIEWS = (
    "{View} chest radiograph was obtained.",
    "{View} view of the chest was reviewed.",
    "{View} view of the chest provided.",
)
INDICATIONS = (
    "___ year old {person} with shortness of breath // evaluate for pneumonia",
    "___{p} with chest pain",
    "History: ___{p} with cough and fever // eval for infiltrate",
    "___ year old {person} with CHF // assess volume status",
    "___ year old {person} s/p fall",
    "___ year old {person} with hypoxia, please assess for effusion or edema",
    "{Person} with history of lung cancer, follow up",
    "___ year old {person} status post line placement // position, pneumothorax?",
    "___ year old {person} with altered mental status // r/o acute process",
    "___{p} with dyspnea on exertion, history of COPD",
    "Preoperative evaluation.",
    "___ year old {person} after cardiac surgery // interval change",
)
NOTHING_ACUTE = (
    "No acute cardiopulmonary process.",
    "No acute intrathoracic process.",
    "No acute cardiopulmonary abnormality.",
    "Normal chest radiograph.",
    "No radiographic evidence of acute cardiopulmonary disease.",
)
