"""Convolutional networks of timm 1.0.31, nearly all below 45 million parameters, by the side of the input."""

from typing import Final

HALF: Final = 0.505
"""Of the multiply-adds that a counter finds in the network itself; the plan counts by its own model."""

NAMES: Final[dict[int, str]] = {
    160: """
        resnetrs50 test_efficientnet test_efficientnet_ln
    """,
    176: """
        resnet10t
    """,
    188: """
        tinynet_b
    """,
    192: """
        nf_regnet_b0 tf_efficientnetv2_b1
    """,
    224: """
        caformer_s18 convformer_s36 convmixer_1024_20_ks9_p14 convmixer_768_32 convnext_atto
        convnext_femto convnext_pico convnext_tiny_hnf convnextv2_femto convnextv2_tiny densenet121
        densenet161 densenet169 densenet201 dla102 dla34 dla46x_c dla60_res2net dla60x dpn48b dpn68 dpn68b
        eca_nfnet_l0 eca_vovnet39b ecaresnet101d ecaresnet50d_pruned ecaresnext26t_32x4d efficientnet_b0
        efficientnet_b0_gn efficientnet_blur_b0 efficientnet_es_pruned efficientvit_b0 efficientvit_b1
        ese_vovnet19b_slim ese_vovnet39b fasternet_s fasternet_t0 fasternet_t1 fbnetc_100 fbnetv3_b
        gernet_m ghostnet_050 ghostnet_130 ghostnetv2_130 ghostnetv3_050 ghostnetv3_130 hardcorenas_a
        hardcorenas_c hardcorenas_e hgnet_small hgnetv2_b0 hgnetv2_b2 hgnetv2_b4 hrnet_w18 hrnet_w18_small
        hrnet_w18_ssld hrnet_w30 inception_next_atto inception_next_tiny lcnet_075 legacy_seresnet18
        legacy_seresnet34 legacy_seresnet50 legacy_seresnext26_32x4d mambaout_femto mambaout_tiny mixnet_s
        mnasnet_075 mobilenet_edgetpu_100 mobilenet_edgetpu_v2_xs mobilenetv2_035 mobilenetv2_110d
        mobilenetv3_large_075 mobilenetv3_rw mobilenetv3_small_075 mobilenetv4_conv_small_050 mobileone_s1
        mobileone_s3 nf_ecaresnet26 nf_seresnet50 poolformer_s36 regnetv_040 regnetx_004 regnetx_008
        regnetx_040 regnety_002 regnety_008 regnety_032 regnety_064 regnetz_005 regnetz_b16_evos
        repghostnet_050 repghostnet_080 repghostnet_130 repvgg_a0 repvgg_b0 repvit_m0_9 repvit_m1_0
        repvit_m2 res2net50_14w_8s res2net50_26w_4s res2net50_48w_2s res2net50d resnest14d resnest26d
        resnest50d_1s4x24d resnet101 resnet18d resnet26d resnet34d resnet50_clip_gap resnet50_gn resnet50s
        resnetaa101d resnetaa50 resnetblur50d resnetv2_101 resnetv2_18 resnetv2_34 resnetv2_50d
        resnetv2_50d_gn resnext101_32x4d rexnet_100 rexnet_150 rexnetr_100 rexnetr_150 selecsls42
        selecsls60 semnasnet_075 seresnet34 seresnetaa50d seresnext26t_32x4d shvit_s1 shvit_s3 skresnet18
        skresnet34 skresnet50d starnet_s050 starnet_s1 starnet_s3 tf_efficientnet_cc_b0_4e tf_mixnet_l
        tf_mobilenetv3_large_075 tf_mobilenetv3_small_075 tresnet_m vgg11_bn
    """,
    240: """
        fbnetv3_g tf_efficientnet_em
    """,
    256: """
        bat_resnext26ts cs3darknet_focus_l cs3darknet_focus_s cs3darknet_m cs3darknet_x cs3sedarknet_xdw
        cspresnet50d cspresnext50 darknet53 eca_resnext26ts ecaresnet26t edgenext_base edgenext_small_rw
        ese_vovnet57b gcresnext26ts mobilenetv4_conv_aa_medium mobilenetv4_conv_medium
        mobilenetv4_hybrid_large_075 nf_resnet50 regnetz_d8 resnet101d resnet32ts resnet61q seresnet33ts
    """,
    260: """
        efficientnet_b2_pruned tf_efficientnet_lite2
    """,
    288: """
        efficientnetv2_rw_s nf_regnet_b3
    """,
    299: """
        inception_resnet_v2 inception_v3 inception_v4 legacy_xception xception41 xception41p xception65p
    """,
    300: """
        efficientnet_b3_pruned efficientnet_el efficientnet_lite3 tf_efficientnet_b3
    """,
}
"""Side -> names."""
