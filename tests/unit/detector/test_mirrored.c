/* kernels/detector: mirrored views put back in place. */
#include "testing.h"

#include <math.h>
#include <string.h>

#include "mirrored.h"

enum { ROWS = 3, COLUMNS = 5, RAYS = 8 };

static void cells_go_where_the_mirror_puts_them(void **state)
{
    (void)state;
    const struct mirrored_grid grid = {MIRRORED_PLAIN, ROWS, COLUMNS, 1};
    float from[ROWS * COLUMNS], to[ROWS * COLUMNS];
    for (int i = 0; i < ROWS * COLUMNS; i++)
        from[i] = (float)i;
    for (int view = 0; view < MIRRORED_VIEWS; view++) {
        for (int i = 0; i < ROWS * COLUMNS; i++)
            to[i] = 1;
        mirrored_add(&grid, view, from, to);
        for (int row = 0; row < ROWS; row++)
            for (int column = 0; column < COLUMNS; column++) {
                int other_row = view & 2 ? ROWS - 1 - row : row, other = view & 1 ? COLUMNS - 1 - column : column;
                assert_true(to[row * COLUMNS + column] == 1 + from[other_row * COLUMNS + other]);
            }
    }
}

static void a_view_undoes_itself(void **state)
{
    (void)state;
    const struct mirrored_grid grids[] = {
        {MIRRORED_PLAIN, ROWS, COLUMNS, 3}, {MIRRORED_BOX, ROWS, COLUMNS, 4}, {MIRRORED_RAYS, ROWS, COLUMNS, RAYS}};
    for (size_t g = 0; g < sizeof grids / sizeof *grids; g++) {
        size_t count = (size_t)(ROWS * COLUMNS * grids[g].channels);
        float from[ROWS * COLUMNS * RAYS], once[ROWS * COLUMNS * RAYS], twice[ROWS * COLUMNS * RAYS];
        for (size_t i = 0; i < count; i++)
            from[i] = (float)(i * i % 101);
        for (int view = 0; view < MIRRORED_VIEWS; view++) {
            memset(once, 0, sizeof once);
            memset(twice, 0, sizeof twice);
            mirrored_add(&grids[g], view, from, once);
            mirrored_add(&grids[g], view, once, twice);
            assert_memory_equal(from, twice, count * sizeof *from);
        }
    }
}

/* The oracle is plane geometry: the sides' and the rays' end points are mirrored as points. */
static void sides_and_rays_point_where_their_mirror_images_do(void **state)
{
    (void)state;
    const float sides[4][2] = {{-1, 0}, {0, -1}, {1, 0}, {0, 1}}; /* left, top, right, bottom */
    const double pi = acos(-1);
    for (int view = 0; view < MIRRORED_VIEWS; view++) {
        float across = view & 1 ? -1 : 1, down = view & 2 ? -1 : 1;
        const float box[4] = {1, 2, 3, 4};
        float turned_box[4] = {0}, rays[RAYS], turned_rays[RAYS] = {0};
        for (int k = 0; k < RAYS; k++)
            rays[k] = (float)(k + 1);
        mirrored_add(&(struct mirrored_grid){MIRRORED_BOX, 1, 1, 4}, view, box, turned_box);
        mirrored_add(&(struct mirrored_grid){MIRRORED_RAYS, 1, 1, RAYS}, view, rays, turned_rays);
        for (int k = 0; k < 4; k++)
            for (int other = 0; other < 4; other++)
                if (sides[other][0] == across * sides[k][0] && sides[other][1] == down * sides[k][1])
                    assert_true(turned_box[other] == box[k]);
        for (int k = 0; k < RAYS; k++) {
            double x = across * cos(2 * pi * k / RAYS), y = down * sin(2 * pi * k / RAYS);
            int other = (int)lround(atan2(y, x) / (2 * pi) * RAYS + RAYS) % RAYS;
            assert_true(turned_rays[other] == rays[k]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_go_where_the_mirror_puts_them),
        cmocka_unit_test(a_view_undoes_itself),
        cmocka_unit_test(sides_and_rays_point_where_their_mirror_images_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
