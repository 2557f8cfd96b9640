import json

from vmt.demo import evaluate
from vmt.demo.train import VAE_FILE
from vmt.demo.train_vae import save_half
from vmt.demo.wan_vae import WanVAE


def test_the_shipped_vae_keeps_a_clip(capsys):
    assert evaluate.main(["vae", "--num", "1"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["flat_psnr_db"] > 30 and told["textured_psnr_db"] > 28 and told["num"] == 1


def test_one_that_learned_nothing_does_not(tmp_path, capsys):
    save_half(WanVAE(4), tmp_path / VAE_FILE, {})
    assert evaluate.main(["vae", "--num", "1", "--weights", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["flat_psnr_db"] < 20 and told["textured_psnr_db"] < 20


def test_bad_input_is_told(tmp_path, capsys):
    assert evaluate.main(["vae", "--num", "0"]) == 2 and "Change --num" in capsys.readouterr().err
    assert evaluate.main(["vae", "--weights", str(tmp_path)]) == 2 and "no weights" in capsys.readouterr().err
