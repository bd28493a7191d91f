/* Placing cells.  All arithmetic is + - * / and square root in IEEE double, each of which has one right
 * result, and the file is compiled without contraction into fused operations: so the layout is the same on
 * every machine.  Rotations come from t in [-1, 1) by c = (1-t^2)/(1+t^2), s = 2t/(1+t^2), which needs no
 * sine.
 *
 * Cells are placed one after another.  35 % are put next to an earlier one, at 0.93 to 1.05 of the distance
 * at which the two would touch.  A place is taken when at least 30 % of the cell is in the frame and at most
 * 12 % of that belongs to earlier cells; a pixel belongs to the first cell that covers its centre.  Density
 * is stated per area, so a larger frame holds more cells of the same size.
 */
#include "synth_layout.h"

#include <stdbool.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPTS        30
#define CELLS_MAX       20000
#define EMPTY_EVERY     50
#define NEIGHBOUR_SHARE 0.35
#define INSIDE_MIN      0.30
#define COVERED_MAX     0.12

struct random synth_layout_stream(uint64_t seed, size_t number, enum synth_layer layer)
{
    return random_stream(seed ^ (uint64_t)layer * UINT64_C(0xAEF17502108EF2D9), number);
}

double synth_layout_reach(const struct synth_ellipse *ellipse, int x, int y)
{
    double dx = x + 0.5 - ellipse->x, dy = y + 0.5 - ellipse->y;
    double u = (dx * ellipse->c + dy * ellipse->s) / ellipse->a;
    double v = (dy * ellipse->c - dx * ellipse->s) / ellipse->b;
    return u * u + v * v;
}

static int clip(double value, int most)
{
    return value < 0 ? 0 : value > most ? most : (int)value;
}

struct synth_window synth_layout_window(const struct synth_ellipse *ellipse, double scale, int width, int height)
{
    double radius = (ellipse->a > ellipse->b ? ellipse->a : ellipse->b) * scale + 1;
    return (struct synth_window){clip(ellipse->x - radius, width), clip(ellipse->y - radius, height),
                                 clip(ellipse->x + radius + 1, width), clip(ellipse->y + radius + 1, height)};
}

static void turn(struct random *random, double *c, double *s)
{
    double t = random_between(random, -1, 1);
    *c = (1 - t * t) / (1 + t * t);
    *s = 2 * t / (1 + t * t);
}

/* An ellipse of mean radius r (the geometric mean of its half axes) and the given ratio of axes. */
static struct synth_ellipse draw_ellipse(struct random *random, double radius, double ratio)
{
    double root = sqrt(ratio);
    struct synth_ellipse ellipse = {.a = radius * root, .b = radius / root};
    turn(random, &ellipse.c, &ellipse.s);
    return ellipse;
}

static struct synth_cell draw_nucleus(struct random *random)
{
    bool micro = random_uniform(random) < 0.07;
    double radius = micro ? random_between(random, 2.5, 5) : random_between(random, 10, 17);
    struct synth_cell cell = {.class_index = SYNTH_NUCLEUS,
                              .shape = draw_ellipse(random, radius, random_between(random, 1, 1.45))};
    cell.strength = random_between(random, 500, 3200);
    return cell;
}

/* Radii as in smears of 640 x 480 pixels. */
static struct synth_cell draw_blood_cell(struct random *random)
{
    static const struct {
        double radius_min, radius_max, ratio_max;
    } sizes[3] = {[SYNTH_RBC] = {40, 53, 1.15}, [SYNTH_WBC] = {56, 80, 1.2}, [SYNTH_PLATELET] = {12, 21, 1.3}};
    double which = random_uniform(random);
    int class_index = which < 0.84 ? SYNTH_RBC : which < 0.92 ? SYNTH_WBC : SYNTH_PLATELET;
    double radius = random_between(random, sizes[class_index].radius_min, sizes[class_index].radius_max);
    double ratio = random_between(random, 1, sizes[class_index].ratio_max);
    struct synth_cell cell = {.class_index = class_index, .shape = draw_ellipse(random, radius, ratio)};
    cell.strength = random_between(random, 0.8, 1.2);
    return cell;
}

/* The nucleus of a white cell: one to three ellipses around its centre. */
static void draw_lobes(struct random *random, struct synth_cell *cell)
{
    if (cell->class_index != SYNTH_WBC)
        return;
    double radius = cell->shape.b;
    cell->lobe_count = 1 + (int)random_below(random, SYNTH_LOBES_MAX);
    for (int i = 0; i < cell->lobe_count; i++) {
        double size = cell->lobe_count == 1 ? random_between(random, 0.55, 0.72) : random_between(random, 0.32, 0.45);
        double away = cell->lobe_count == 1 ? 0.1 : 0.38, c, s;
        turn(random, &c, &s);
        double side = i % 2 ? -1 : 1;
        struct synth_ellipse lobe = draw_ellipse(random, radius * size, random_between(random, 1, 1.3));
        lobe.x = cell->shape.x + side * c * radius * away;
        lobe.y = cell->shape.y + s * radius * away;
        cell->lobes[i] = lobe;
    }
}

/* The ellipse's radius in the direction (dx, dy), a unit vector. */
static double radius_towards(const struct synth_ellipse *ellipse, double dx, double dy)
{
    double u = (dx * ellipse->c + dy * ellipse->s) / ellipse->a;
    double v = (dy * ellipse->c - dx * ellipse->s) / ellipse->b;
    return 1 / sqrt(u * u + v * v);
}

static void put_somewhere(struct random *random, const struct synth_layout *layout, struct synth_ellipse *shape)
{
    if (layout->count > 0 && random_uniform(random) < NEIGHBOUR_SHARE) {
        const struct synth_ellipse *other = &layout->cells[random_below(random, (uint32_t)layout->count)].shape;
        double dx, dy;
        turn(random, &dx, &dy);
        if (random_next(random) & 1)
            dx = -dx;
        double distance =
            (radius_towards(other, dx, dy) + radius_towards(shape, dx, dy)) * random_between(random, 0.93, 1.05);
        shape->x = other->x + dx * distance;
        shape->y = other->y + dy * distance;
        return;
    }
    double margin = 0.5 * shape->a;
    shape->x = random_between(random, -margin, layout->width + margin);
    shape->y = random_between(random, -margin, layout->height + margin);
}

/* Pixels of the ellipse in all, in the frame, and in the frame but owned by others. */
static bool fits(const struct synth_layout *layout, const struct synth_ellipse *shape)
{
    int radius = (int)(shape->a > shape->b ? shape->a : shape->b) + 2;
    int centre_x = (int)floor(shape->x), centre_y = (int)floor(shape->y);
    long all = 0, inside = 0, covered = 0;
    for (int y = centre_y - radius; y <= centre_y + radius; y++)
        for (int x = centre_x - radius; x <= centre_x + radius; x++) {
            if (synth_layout_reach(shape, x, y) > 1)
                continue;
            all++;
            if (x < 0 || y < 0 || x >= layout->width || y >= layout->height)
                continue;
            inside++;
            covered += layout->owner[(size_t)y * (size_t)layout->width + (size_t)x] != 0;
        }
    return inside > 0 && (double)inside >= INSIDE_MIN * (double)all && (double)covered <= COVERED_MAX * (double)inside;
}

static void take_pixels(struct synth_layout *layout, const struct synth_ellipse *shape)
{
    struct synth_window window = synth_layout_window(shape, 1, layout->width, layout->height);
    for (int y = window.y0; y < window.y1; y++)
        for (int x = window.x0; x < window.x1; x++) {
            uint16_t *owner = &layout->owner[(size_t)y * (size_t)layout->width + (size_t)x];
            if (*owner == 0 && synth_layout_reach(shape, x, y) <= 1)
                *owner = (uint16_t)(layout->count + 1);
        }
}

static size_t draw_count(struct random *random, const struct synth_request *request)
{
    double area = (double)request->width * request->height;
    double frames = request->kind == SYNTH_FLUO16 ? area / (256.0 * 256.0) : area / (640.0 * 480.0);
    double count = frames * (request->kind == SYNTH_FLUO16 ? random_between(random, 10, 36) : random_between(random, 8, 22));
    return count > CELLS_MAX ? CELLS_MAX : (size_t)count + 1;
}

enum code synth_layout_place(const struct synth_request *request, size_t number, struct synth_layout *out,
                             struct failure *why)
{
    struct random random = synth_layout_stream(request->seed, number, SYNTH_LAYER_LAYOUT);
    size_t wanted = number % EMPTY_EVERY == EMPTY_EVERY - 1 ? 0 : draw_count(&random, request);
    *out = (struct synth_layout){.width = request->width, .height = request->height};
    out->owner = calloc((size_t)out->width * (size_t)out->height, sizeof *out->owner);
    out->cells = calloc(wanted + 1, sizeof *out->cells);
    if (!out->owner || !out->cells) {
        synth_layout_free(out);
        return failure_set(why, CODE_NO_MEMORY, "making a synthetic image: out of memory");
    }
    for (size_t i = 0; i < wanted; i++) {
        struct synth_cell cell = request->kind == SYNTH_FLUO16 ? draw_nucleus(&random) : draw_blood_cell(&random);
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            put_somewhere(&random, out, &cell.shape);
            if (!fits(out, &cell.shape))
                continue;
            draw_lobes(&random, &cell);
            take_pixels(out, &cell.shape);
            out->cells[out->count++] = cell;
            break;
        }
    }
    return CODE_OK;
}

void synth_layout_free(struct synth_layout *layout)
{
    free(layout->owner);
    free(layout->cells);
    *layout = (struct synth_layout){0};
}
