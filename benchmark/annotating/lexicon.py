"""The words of the annotator by rules: what names anatomy, a place in it, an observation or its degree, and what denies, doubts or joins them.

Single words, lower case. They were chosen by reading reports of phantoms and of Indiana University (Open-i); they are no part of RadGraph.
"""

from __future__ import annotations


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


ANATOMY = _words(
    """
    abdomen airspace airspaces airway airways alveolar aorta aortic apex apices arch artery arteries atrium atrial axilla azygos base bases
    bone bones bony bowel bronchi bronchial bronchus cardiac cardiomediastinal cardiophrenic cardiopulmonary carina cavity cervical chest
    clavicle clavicles colon costophrenic crest diaphragm diaphragms esophagus fissure fissures hemidiaphragm hemidiaphragms hemithorax
    heart hila hilar hilum humeral humerus interstitial interstitium intrathoracic junction lingula lingular liver lobe lobes lung lungs
    mediastinal mediastinum nodal node nodes osseous parenchyma parenchymal paratracheal peribronchial pericardial perihilar pleura pleural
    pulmonary retrocardiac retrosternal rib ribs scapula septal shoulder silhouette skeletal skeleton skin spinal spine stomach sternal
    sternum subclavian subcutaneous sulci sulcus svc thoracic thorax tissue tissues trachea tracheal vascular vasculature vein veins
    ventricle ventricular vertebra vertebrae vertebral vessels zone zones
    """
)
"""names a part of the body"""
PLACES = _words(
    """
    anterior apical basal basilar bibasal bibasilar biapical bilateral bilaterally central contralateral distal inferior lateral left lower
    medial mid middle midline peripheral posterior proximal right superior upper unilateral
    """
)
"""says which part of it"""
OBSERVATIONS = _words(
    """
    abnormal abnormalities abnormality abscess air adenopathy aneurysm arthritis aspiration atelectasis atelectases atelectatic blunted
    blunting bronchiectasis bronchiolitis calcification calcifications calcified cardiomegaly catheter catheters cavitation clear clips
    collapse collection compression congestion consolidation consolidations consolidative contusion copd cuffing degenerative density
    densities device disease dislocation edema effusion effusions elevated elevation emphysema emphysematous enlarged enlargement expanded
    failure fibrosis fibrotic finding findings flattened flattening fluid focus foci fracture fractured fractures granuloma granulomas
    granulomatous haziness hemothorax hernia herniation hydropneumothorax hyperexpanded hyperexpansion hyperinflated hyperinflation
    hypoinflated hypoventilatory infection infectious infiltrate infiltrates infiltration inflammation inflated intact kyphosis lesion
    lesions lead leads line lines lymphadenopathy malignancy markings mass masses metastases metastasis metastatic neoplasm neoplastic
    nodule nodular nodules normal opacification opacified opacities opacity osteopenia osteophyte osteophytes osteophytosis overload
    pacemaker plaque plaques pneumonia pneumomediastinum pneumonitis pneumoperitoneum pneumothorax pneumothoraces port prominence prominent
    process redistribution replacement sarcoidosis scar scarring sclerosis scoliosis shift spondylosis spurring sternotomy stent sutures
    thickened thickening tortuosity tortuous tube tubes tumor unremarkable volume volumes widened widening wires
    """
)
"""names something seen"""
DEGREES = _words(
    """
    acute active apparent bulky chronic coarse dense diffuse ectatic extensive faint few fine focal gross huge hazy improved improving
    increased increasing large linear loculated low marked massive mild mildly minimal minimally minor moderate moderately multifocal
    multiple new old patchy persistent prior progressive residual resolving round rounded scattered severe severely significant
    significantly slight slightly small smaller stable streaky subacute subsegmental subtle tiny trace unchanged worsened worsening
    """
)
"""says how large, how grave, how old"""

DENIALS = _words("no not without negative free absence absent nor neither never denies")
"""what follows them is absent"""
DOUBTS = _words(
    """
    possible possibly probable probably likely may might could suspected suspicious suspicion questionable question perhaps presumably
    presumed concerning concern suggest suggests suggesting suggestive versus vs cannot differential
    """
)
"""what follows them is uncertain"""
DENIED_BEFORE = (("not", "seen"), ("not", "identified"), ("not", "visualized"), ("not", "present"), ("not", "evident"), ("has", "resolved"),
                 ("have", "resolved"), ("resolved",), ("ruled", "out"), ("excluded",))  # fmt: skip
"""what stands before them in the clause is absent"""
DOUBTED_BEFORE = (("cannot", "be", "excluded"), ("not", "excluded"), ("not", "be", "excluded"), ("cannot", "exclude"), ("is", "possible"),
                  ("are", "possible"), ("is", "suspected"))  # fmt: skip
"""what stands before them in the clause is uncertain"""
TURNS = _words("but however although though except while whereas which ; :")
"""begin a clause of their own: nothing is denied or doubted across them"""
PREPOSITIONS = _words("in within at of along over involving throughout overlying near into projecting")
"""join an observation to the anatomy that follows"""
BETWEEN = _words("the a an this these that and or , / both either its any evidence")
"""may stand between words that belong together"""
SUGGESTING = _words(
    "suggest suggests suggesting suggestive represent represents representing reflect reflects reflecting consistent compatible concerning"
)
"""join an observation to the one that it speaks for"""
