/* What a model's folder says about it: card.md for people, lineage.yaml for programs. */
#ifndef CYTOFS_MODEL_CARD_H
#define CYTOFS_MODEL_CARD_H

#include "buffer.h"
#include "evaluation.h"
#include "training.h"

/* The scores that the texts name; an evaluation with no images is left out. */
struct model_card_scores {
    struct evaluation val, test;
};

void model_card_append(const struct training *training, const struct model_card_scores *scores, struct buffer *out);

/* `model_digest` is the SHA-256 of model.safetensors in hexadecimal, `spec_text` the spec that asked for the
 * training, NULL for none.  The text has no top-level key "run": whoever registers the model adds it. */
void model_card_append_lineage(const struct training *training, const struct model_card_scores *scores,
                               const char *model_digest, const char *spec_text, struct buffer *out);

#endif
