/* Which layouts of annotations are understood, what is tolerated with a warning, and how splits come about.
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataset.h"
#include "dataset_fixture.h"
#include "file.h"
#include "scope.h"

#define assert_object(dataset, image, index, text)                                                                          \
    assert_string_equal(dataset_fixture_describe(dataset, &(image)->objects[index]), text)

#define BOX(name, x0, y0, x1, y1)                                                                                           \
    "<object><name>" name "</name><bndbox><xmin>" #x0 "</xmin><ymin>" #y0 "</ymin><xmax>" #x1 "</xmax><ymax>" #y1           \
    "</ymax></bndbox></object>"

static void pascal_voc_boxes_are_read(void **state)
{
    const char *folder = *state;
    dataset_fixture_image(folder, "JPEGImages/a.png", 100, 80);
    dataset_fixture_image(folder, "JPEGImages/renamed.png", 100, 80);
    dataset_fixture_text(folder, "Annotations/a.xml",
                         "<annotation><filename>something else.jpg</filename>" BOX("RBC", 1, 2, 30, 40)
                             BOX(" WBC ", 50, 10, 60.5, 20) "</annotation>");
    dataset_fixture_text(folder, "Annotations/b.xml",
                         "<annotation><filename>renamed.png</filename>" BOX("RBC", 5, 5, 9, 9) "</annotation>");
    struct dataset *dataset = dataset_fixture_load(folder, NULL);
    assert_string_equal(dataset->annotation_kind, "voc");
    const struct dataset_image *a = dataset_fixture_find(dataset, "JPEGImages/a.png");
    assert_int_equal(a->width, 100);
    assert_int_equal(a->height, 80);
    assert_int_equal(a->object_count, 2);
    assert_object(dataset, a, 0, "RBC 1 2 30 40 #0");
    assert_object(dataset, a, 1, "WBC 50 10 60.5 20 #0");
    assert_int_equal(dataset_fixture_find(dataset, "JPEGImages/renamed.png")->object_count, 1);
    uint32_t *labels;
    assert_int_equal(dataset_read_labels(dataset, a, &labels, NULL), CODE_NO_DATA);
    dataset_destroy(dataset);
}

static void faulty_boxes_are_dropped_or_clipped_with_a_warning(void **state)
{
    const char *folder = *state;
    SCOPE_BUFFER warnings = {0};
    dataset_fixture_image(folder, "a.png", 100, 80);
    dataset_fixture_text(folder, "a.xml",
                         "<annotation>" BOX("RBC", 10, 10, 10, 20) BOX("RBC", 5, 5, 50, 50) BOX("RBC", 5, 5, 50, 50)
                             BOX("RBC", -7, 60, 120, 99) BOX("RBC", 200, 200, 300, 300)
                                 BOX("RBC", one, 1, 2, 3) "</annotation>");
    struct dataset *dataset = dataset_fixture_load(folder, &warnings);
    const struct dataset_image *a = dataset_fixture_find(dataset, "a.png");
    assert_int_equal(a->object_count, 2);
    assert_object(dataset, a, 0, "RBC 0 60 100 80 #0");
    assert_object(dataset, a, 1, "RBC 5 5 50 50 #0");
    assert_non_null(strstr(buffer_text(&warnings), "a.png: 2 boxes with no area"));
    assert_non_null(strstr(buffer_text(&warnings), "a.png: 1 box annotated twice"));
    assert_non_null(strstr(buffer_text(&warnings), "a.xml: object 6 lacks"));
    dataset_destroy(dataset);
}

static void broken_files_are_left_out_and_named(void **state)
{
    const char *folder = *state;
    SCOPE_BUFFER warnings = {0};
    dataset_fixture_image(folder, "a.png", 100, 80);
    dataset_fixture_image(folder, "lonely.png", 100, 80);
    dataset_fixture_text(folder, "broken.png", "this is no picture");
    dataset_fixture_text(folder, "a.xml", "<annotation>" BOX("RBC", 1, 1, 9, 9) "</annotation>");
    dataset_fixture_text(folder, "broken.xml", "<annotation>" BOX("RBC", 1, 1, 9, 9) "</annotation>");
    dataset_fixture_text(folder, "gone.xml", "<annotation>" BOX("RBC", 1, 1, 9, 9) "</annotation>");
    dataset_fixture_text(folder, "cut.xml", "<annotation>\n<object><name>RBC");
    struct dataset *dataset = dataset_fixture_load(folder, &warnings);
    assert_int_equal(dataset->image_count, 1);
    assert_non_null(strstr(buffer_text(&warnings), "broken.png: not a PNG"));
    assert_non_null(strstr(buffer_text(&warnings), "gone.xml: its image"));
    assert_non_null(strstr(buffer_text(&warnings), "cut.xml, line 2"));
    assert_non_null(strstr(buffer_text(&warnings), "1 image without an annotation left out (lonely.png)"));
    dataset_destroy(dataset);
}

static void an_entity_bomb_is_refused(void **state)
{
    const char *folder = *state;
    SCOPE_BUFFER warnings = {0};
    dataset_fixture_image(folder, "a.png", 10, 10);
    dataset_fixture_image(folder, "b.png", 10, 10);
    dataset_fixture_text(folder, "a.xml",
                         "<!DOCTYPE annotation [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;\">]>"
                         "<annotation><object><name>&b;</name></object></annotation>");
    dataset_fixture_text(folder, "b.xml", "<annotation>" BOX("RBC", 1, 1, 9, 9) "</annotation>");
    struct dataset *dataset = dataset_fixture_load(folder, &warnings);
    assert_int_equal(dataset->image_count, 1);
    assert_non_null(strstr(buffer_text(&warnings), "a.xml, line 1"));
    assert_non_null(strstr(buffer_text(&warnings), "DOCTYPE"));
    dataset_destroy(dataset);
}

static void coco_files_are_read_and_split_by_their_names(void **state)
{
    const char *folder = *state;
    SCOPE_BUFFER warnings = {0};
    dataset_fixture_image(folder, "images/a.png", 100, 80);
    dataset_fixture_image(folder, "images/b.png", 100, 80);
    dataset_fixture_image(folder, "images/c.png", 100, 80);
    dataset_fixture_text(folder, "annotations/instances_train2017.json",
                         "{\"images\": [{\"id\": 4, \"file_name\": \"b.png\"}, {\"id\": 3, \"file_name\": \"a.png\"},"
                         "{\"id\": 9, \"file_name\": \"gone.png\"}],"
                         "\"categories\": [{\"id\": 7, \"name\": \"WBC\"}, {\"id\": 2, \"name\": \"RBC\"}],"
                         "\"annotations\": [{\"image_id\": 3, \"category_id\": 2, \"bbox\": [10, 20, 30.5, 40]},"
                         "{\"image_id\": 3, \"category_id\": 7, \"bbox\": [1, 1, 5, 5], \"iscrowd\": 1},"
                         "{\"image_id\": 8, \"category_id\": 7, \"bbox\": [1, 1, 5, 5]},"
                         "{\"image_id\": 3, \"category_id\": 5, \"bbox\": [1, 1, 5, 5]},"
                         "{\"category_id\": 7, \"bbox\": [1, 1, 5, 5]}]}");
    dataset_fixture_text(folder, "annotations/instances_val2017.json",
                         "{\"images\": [{\"id\": 3, \"file_name\": \"c.png\"}],"
                         "\"categories\": [{\"id\": 2, \"name\": \"RBC\"}],"
                         "\"annotations\": [{\"image_id\": 3, \"category_id\": 2, \"bbox\": [1, 2, 3, 4]}]}");
    struct dataset *dataset = dataset_fixture_load(folder, &warnings);
    assert_string_equal(dataset->annotation_kind, "coco");
    assert_string_equal(dataset->split_source, "annotations");
    assert_int_equal(dataset->image_count, 3);
    const struct dataset_image *a = dataset_fixture_find(dataset, "images/a.png");
    assert_int_equal(a->object_count, 1);
    assert_object(dataset, a, 0, "RBC 10 20 40.5 60 #0");
    assert_int_equal(a->split, SPLIT_TRAIN);
    assert_int_equal(dataset_fixture_find(dataset, "images/b.png")->object_count, 0);
    const struct dataset_image *c = dataset_fixture_find(dataset, "images/c.png");
    assert_object(dataset, c, 0, "RBC 1 2 4 6 #0");
    assert_int_equal(c->split, SPLIT_VAL);
    assert_non_null(strstr(buffer_text(&warnings), "1 images are not there"));
    assert_non_null(strstr(buffer_text(&warnings), "2 objects belong to no image"));
    assert_non_null(strstr(buffer_text(&warnings), "1 objects are of no known category"));
    dataset_destroy(dataset);
}

static void a_malformed_coco_file_is_refused_with_its_place(void **state)
{
    const char *folder = *state;
    struct dataset *dataset;
    struct failure why;
    dataset_fixture_image(folder, "a.png", 10, 10);
    dataset_fixture_text(folder, "x.json", "{\"images\": [],\n \"annotations\": [}");
    assert_int_equal(dataset_load(folder, &dataset, NULL, &why), CODE_INVALID);
    assert_null(dataset);
    assert_non_null(strstr(why.text, "x.json, line 2"));
}

static void yolo_labels_are_read_beside_images_and_in_labels(void **state)
{
    const char *folder = *state;
    SCOPE_BUFFER warnings = {0};
    dataset_fixture_image(folder, "train/images/a.png", 200, 100);
    dataset_fixture_image(folder, "val/images/b.png", 200, 100);
    dataset_fixture_image(folder, "val/images/empty.png", 200, 100);
    dataset_fixture_text(folder, "train/labels/a.txt", "1 0.5 0.5 0.25 0.5\n0 0.1 0.1 0.4 0.1 0.4 0.6\nnonsense\n");
    dataset_fixture_text(folder, "val/images/b.txt", "0 0.5 0.5 1 1\r\n");
    dataset_fixture_text(folder, "data.yaml", "train: train/images\nval: val/images\nnc: 2\nnames: ['RBC', \"WBC\"]\n");
    struct dataset *dataset = dataset_fixture_load(folder, &warnings);
    assert_string_equal(dataset->annotation_kind, "yolo");
    assert_string_equal(dataset->split_source, "folders");
    const struct dataset_image *a = dataset_fixture_find(dataset, "train/images/a.png");
    assert_int_equal(a->object_count, 2);
    assert_object(dataset, a, 0, "RBC 20 10 80 60 #0");
    assert_object(dataset, a, 1, "WBC 75 25 125 75 #0");
    assert_int_equal(a->split, SPLIT_TRAIN);
    const struct dataset_image *b = dataset_fixture_find(dataset, "val/images/b.png");
    assert_object(dataset, b, 0, "RBC 0 0 200 100 #0");
    assert_int_equal(b->split, SPLIT_VAL);
    assert_non_null(strstr(buffer_text(&warnings), "a.txt, line 3"));
    assert_non_null(strstr(buffer_text(&warnings), "1 image without a label file taken as empty"));
    dataset_destroy(dataset);
}

static void yolo_class_names_come_from_a_list_in_any_of_its_forms(void **state)
{
    static const struct {
        const char *path, *text;
    } lists[] = {{"classes.txt", "RBC\nWBC\n"},
                 {"obj.names", "RBC\r\nWBC\r\n"},
                 {"data.yml", "nc: 2\nnames:\n  0: RBC  # red\n  1: 'WBC'\n"},
                 {"data.yaml", "names:\n- RBC\n- WBC\nnc: 2\n"}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        SCOPE_FREE char *folder = file_join(*state, lists[i].path);
        dataset_fixture_image(folder, "a.png", 100, 100);
        dataset_fixture_text(folder, "a.txt", "1 0.5 0.5 0.5 0.5\n");
        dataset_fixture_text(folder, lists[i].path, lists[i].text);
        struct dataset *dataset = dataset_fixture_load(folder, NULL);
        assert_int_equal(dataset->class_count, 2);
        assert_string_equal(dataset->class_names[0], "RBC");
        assert_string_equal(dataset->class_names[1], "WBC");
        dataset_destroy(dataset);
    }
}

/* Two cells that touch, and one of a single pixel. */
static const uint16_t map[6 * 4] = {0, 7, 7, 0, 0, 0, 0, 7, 3, 3, 0, 0, 0, 0, 3, 3, 0, 9, 0, 0, 0, 0, 0, 0};

static void check_map(const char *folder, const char *image, const char *label_image)
{
    dataset_fixture_image(folder, image, 6, 4);
    dataset_fixture_labels(folder, label_image, 6, 4, map);
    struct dataset *dataset = dataset_fixture_load(folder, NULL);
    struct failure why;
    uint32_t *labels;
    assert_string_equal(dataset->annotation_kind, "labels");
    assert_int_equal(dataset->image_count, 1);
    const struct dataset_image *found = dataset_fixture_find(dataset, image);
    assert_int_equal(found->object_count, 3);
    assert_object(dataset, found, 0, "cell 1 0 3 2 #7");
    assert_object(dataset, found, 1, "cell 2 1 4 3 #3");
    assert_object(dataset, found, 2, "cell 5 2 6 3 #9");
    assert_code_ok(dataset_read_labels(dataset, found, &labels, &why), why);
    for (int i = 0; i < 6 * 4; i++)
        assert_int_equal(labels[i], map[i]);
    free(labels);
    dataset_destroy(dataset);
}

static void label_images_are_found_wherever_programs_put_them(void **state)
{
    static const char *const places[][2] = {{"a.png", "a_label.tif"},         {"a.png", "a_masks.png"},
                                            {"images/a.png", "labels/a.tif"}, {"images/a.png", "masks/a.png"},
                                            {"a.tif", "labels/a.tif"},        {"train/images/a.tif", "train/masks/a.tif"}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char name[16];
        snprintf(name, sizeof name, "case-%zu", i);
        SCOPE_FREE char *folder = file_join(*state, name);
        check_map(folder, places[i][0], places[i][1]);
    }
}

static void a_mask_of_one_value_is_split_into_its_components(void **state)
{
    static const uint16_t mask[6 * 4] = {255, 255, 0, 0, 0,   0, 0,   0, 255, 0, 255, 255,
                                         0,   0,   0, 0, 255, 0, 255, 0, 0,   0, 0,   0};
    const char *folder = *state;
    dataset_fixture_image(folder, "images/a.png", 6, 4);
    dataset_fixture_labels(folder, "masks/a.png", 6, 4, mask);
    struct dataset *dataset = dataset_fixture_load(folder, NULL);
    const struct dataset_image *a = dataset_fixture_find(dataset, "images/a.png");
    assert_int_equal(a->object_count, 3);
    assert_object(dataset, a, 0, "cell 0 0 3 2 #1");
    assert_object(dataset, a, 1, "cell 0 3 1 4 #3");
    assert_object(dataset, a, 2, "cell 4 1 6 3 #2");
    dataset_destroy(dataset);
}

static void one_mask_file_a_nucleus_is_understood(void **state)
{
    static const uint16_t first[6 * 4] = {0, 255, 255}, second[6 * 4] = {0, 0, 255, 255, 0, 0, 0, 0, 255}, nothing[6 * 4];
    const char *folder = *state;
    SCOPE_BUFFER warnings = {0};
    struct failure why;
    uint32_t *labels;
    dataset_fixture_image(folder, "id1/images/id1.png", 6, 4);
    dataset_fixture_labels(folder, "id1/masks/m1.png", 6, 4, first);
    dataset_fixture_labels(folder, "id1/masks/m2.png", 6, 4, nothing);
    dataset_fixture_labels(folder, "id1/masks/m3.png", 6, 4, second);
    dataset_fixture_labels(folder, "id1/masks/m4.png", 3, 8, second);
    struct dataset *dataset = dataset_fixture_load(folder, &warnings);
    assert_string_equal(dataset->annotation_kind, "masks");
    const struct dataset_image *image = dataset_fixture_find(dataset, "id1/images/id1.png");
    assert_int_equal(image->object_count, 2);
    assert_object(dataset, image, 0, "cell 1 0 3 1 #1");
    assert_object(dataset, image, 1, "cell 2 0 4 2 #3");
    assert_code_ok(dataset_read_labels(dataset, image, &labels, &why), why);
    static const uint32_t wanted[9] = {0, 1, 1, 3, 0, 0, 0, 0, 3}; /* the first keeps the pixel that both claim */
    for (int i = 0; i < 9; i++)
        assert_int_equal(labels[i], wanted[i]);
    assert_non_null(strstr(buffer_text(&warnings), "m2.png: the mask is empty"));
    assert_non_null(strstr(buffer_text(&warnings), "3 x 8 pixels, but its image has 6 x 4"));
    free(labels);
    dataset_destroy(dataset);
}

static void boxes_in_csv_are_read_with_their_labels(void **state)
{
    const char *folder = *state;
    SCOPE_BUFFER warnings = {0};
    struct failure why;
    uint32_t *labels;
    dataset_fixture_image(folder, "images/a, b.png", 6, 4);
    dataset_fixture_image(folder, "images/empty.png", 6, 4);
    dataset_fixture_image(folder, "images/unknown.png", 6, 4);
    dataset_fixture_labels(folder, "labels/a, b.tif", 6, 4, map);
    dataset_fixture_text(folder, "boxes.csv",
                         "class,image,x0,y0,x1,y1,label\r\n\"big \"\"one\"\"\",\"images/a, b.png\",1,0,3,2,7\r\n"
                         ",images/empty.png,,,,,\nRBC,images/gone.png,1,1,2,2,\nRBC,\"images/a, b.png\",1,x,3,2,7\n");
    struct dataset *dataset = dataset_fixture_load(folder, &warnings);
    assert_string_equal(dataset->annotation_kind, "csv");
    assert_int_equal(dataset->image_count, 2);
    const struct dataset_image *image = dataset_fixture_find(dataset, "images/a, b.png");
    assert_int_equal(image->object_count, 1);
    assert_object(dataset, image, 0, "big \"one\" 1 0 3 2 #7");
    assert_code_ok(dataset_read_labels(dataset, image, &labels, &why), why);
    assert_int_equal(labels[1], 7);
    assert_int_equal(dataset_fixture_find(dataset, "images/empty.png")->object_count, 0);
    assert_non_null(strstr(buffer_text(&warnings), "boxes.csv, line 4: the image is not there"));
    assert_non_null(strstr(buffer_text(&warnings), "boxes.csv, line 5: a side of the box is not a number"));
    free(labels);
    dataset_destroy(dataset);
}

static void a_table_of_detections_is_no_annotation(void **state)
{
    const char *folder = *state;
    dataset_fixture_image(folder, "a.png", 10, 10);
    dataset_fixture_text(folder, "a.xml", "<annotation>" BOX("RBC", 1, 1, 9, 9) "</annotation>");
    dataset_fixture_text(folder, "detections.csv", "image,id,class,score,x0,y0,x1,y1\na.png,1,WBC,0.9,1,1,5,5\n");
    struct dataset *dataset = dataset_fixture_load(folder, NULL);
    assert_string_equal(dataset->annotation_kind, "voc");
    assert_int_equal(dataset_fixture_count_class(dataset, "WBC"), 0);
    dataset_destroy(dataset);
}

/* `count` images with one box each. */
static void make_images(const char *folder, int count)
{
    for (int i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "i%02d.png", i);
        dataset_fixture_image(folder, name, 20, 20);
        snprintf(name, sizeof name, "i%02d.xml", i);
        dataset_fixture_text(folder, name, "<annotation>" BOX("RBC", 1, 1, 9, 9) "</annotation>");
    }
}

static void lists_of_names_decide_the_split(void **state)
{
    const char *folder = *state;
    make_images(folder, 6);
    dataset_fixture_text(folder, "train.txt", "i00\ni01.png\r\n./i02.png\n");
    dataset_fixture_text(folder, "val.txt", "/somewhere/else/i03.png\n");
    dataset_fixture_text(folder, "test.txt", "i04\n");
    dataset_fixture_text(folder, "a/deeper/train.txt", "i05\n");
    struct dataset *dataset = dataset_fixture_load(folder, NULL);
    assert_string_equal(dataset->split_source, "train.txt");
    static const enum dataset_split wanted[] = {SPLIT_TRAIN, SPLIT_TRAIN, SPLIT_TRAIN, SPLIT_VAL, SPLIT_TEST, SPLIT_NONE};
    for (int i = 0; i < 6; i++)
        assert_int_equal(dataset->images[i].split, wanted[i]);
    dataset_destroy(dataset);
}

static void without_a_list_the_paths_hash_decides_and_nothing_is_empty(void **state)
{
    for (int count = 3; count <= 40; count += count < 6 ? 1 : 17) {
        char name[16];
        snprintf(name, sizeof name, "of-%d", count);
        SCOPE_FREE char *folder = file_join(*state, name);
        make_images(folder, count);
        struct dataset *dataset = dataset_fixture_load(folder, NULL);
        assert_string_equal(dataset->split_source, "hash");
        assert_true(dataset_fixture_count_split(dataset, SPLIT_TRAIN) > 0);
        assert_true(dataset_fixture_count_split(dataset, SPLIT_VAL) > 0);
        assert_int_equal(dataset_fixture_count_split(dataset, SPLIT_NONE), 0);
        if (count > 30)
            assert_true(dataset_fixture_count_split(dataset, SPLIT_TRAIN) > (size_t)count / 2);
        dataset_destroy(dataset);
    }
}

static void training_images_stand_in_where_nothing_validates(void **state)
{
    const char *folder = *state;
    SCOPE_BUFFER warnings = {0};
    make_images(folder, 8);
    dataset_fixture_text(folder, "train.txt", "i00\ni01\ni02\ni03\ni04\ni05\n");
    dataset_fixture_text(folder, "test.txt", "i06\ni07\n");
    struct dataset *dataset = dataset_fixture_load(folder, &warnings);
    assert_true(dataset_fixture_count_split(dataset, SPLIT_VAL) > 0);
    assert_true(dataset_fixture_count_split(dataset, SPLIT_TRAIN) > 0);
    assert_int_equal(dataset_fixture_count_split(dataset, SPLIT_TEST), 2);
    assert_non_null(strstr(buffer_text(&warnings), "no images are set apart for validation"));
    dataset_destroy(dataset);
}

static void the_digest_changes_with_a_box_and_with_nothing_else(void **state)
{
    const char *folder = *state;
    make_images(folder, 4);
    struct dataset *first = dataset_fixture_load(folder, NULL);
    struct dataset *again = dataset_fixture_load(folder, NULL);
    assert_memory_equal(first->digest, again->digest, sizeof first->digest);
    dataset_destroy(again);
    dataset_fixture_text(folder, "i02.xml", "<annotation>" BOX("RBC", 1, 1, 9, 10) "</annotation>");
    struct dataset *changed = dataset_fixture_load(folder, NULL);
    assert_memory_not_equal(first->digest, changed->digest, sizeof first->digest);
    dataset_destroy(changed);
    dataset_destroy(first);
}

static void a_folder_without_images_or_annotations_is_refused_with_advice(void **state)
{
    const char *folder = *state;
    struct dataset *dataset;
    struct failure why;
    assert_int_equal(dataset_load(folder, &dataset, NULL, &why), CODE_INVALID);
    assert_non_null(strstr(why.text, "holds no images"));
    dataset_fixture_image(folder, "a.png", 10, 10);
    assert_int_equal(dataset_load(folder, &dataset, NULL, &why), CODE_INVALID);
    assert_non_null(strstr(why.text, "but no annotations: add Pascal VOC XML"));
    assert_int_equal(dataset_load("/nonexistent/folder", &dataset, NULL, &why), CODE_NOT_FOUND);
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, dataset_fixture_make, dataset_fixture_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_folder(pascal_voc_boxes_are_read),
        with_folder(faulty_boxes_are_dropped_or_clipped_with_a_warning),
        with_folder(broken_files_are_left_out_and_named),
        with_folder(an_entity_bomb_is_refused),
        with_folder(coco_files_are_read_and_split_by_their_names),
        with_folder(a_malformed_coco_file_is_refused_with_its_place),
        with_folder(yolo_labels_are_read_beside_images_and_in_labels),
        with_folder(yolo_class_names_come_from_a_list_in_any_of_its_forms),
        with_folder(label_images_are_found_wherever_programs_put_them),
        with_folder(a_mask_of_one_value_is_split_into_its_components),
        with_folder(one_mask_file_a_nucleus_is_understood),
        with_folder(boxes_in_csv_are_read_with_their_labels),
        with_folder(a_table_of_detections_is_no_annotation),
        with_folder(lists_of_names_decide_the_split),
        with_folder(without_a_list_the_paths_hash_decides_and_nothing_is_empty),
        with_folder(training_images_stand_in_where_nothing_validates),
        with_folder(the_digest_changes_with_a_box_and_with_nothing_else),
        with_folder(a_folder_without_images_or_annotations_is_refused_with_advice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
